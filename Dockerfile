# monuseg on the CPU, with its default model. Nothing is downloaded when it runs.
#   docker build -t monuseg .
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/data" monuseg monuseg predict slide.svs -o mask.png
FROM python:3.12-slim AS build

# Extras of monuseg-cli (docs/install.md), without spatial, which is large, and without cluster and pretrained.
ARG EXTRAS=classes,export,fast,slides,tables,texture,view

WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/monuseg \
    && /opt/monuseg/bin/pip install --no-cache-dir --constraint constraints.txt \
        torch torchvision --index-url https://download.pytorch.org/whl/cpu \
    && /opt/monuseg/bin/pip install --no-cache-dir --constraint constraints.txt \
        ".[${EXTRAS}]"

FROM python:3.12-slim

# ps, with which workflow managers measure a task
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends procps \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 monuseg \
    && install --directory --owner monuseg /data /monuseg

COPY --from=build /opt/monuseg /opt/monuseg
ENV PATH=/opt/monuseg/bin:$PATH \
    MONUSEG_HOME=/monuseg
USER 1000
WORKDIR /data

# A first prediction, offline: it shows that all is there, and keeps the model in the form of OpenVINO.
# Others than this user may run the container, so all may write to the home.
RUN --network=none monuseg demo -o /tmp/demo \
    && rm -r /tmp/demo \
    && chmod -R a+rwX /monuseg

CMD ["monuseg", "--help"]
