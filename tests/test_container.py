"""The Dockerfile, environment.yml and constraints.txt, checked by other programs and against pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from pathspec import GitIgnoreSpec

from monuseg_cli.core.home import Home

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
BUILD_ONLY = {"hatchling"}


def instructions() -> list[tuple[str, str]]:
    parser = DockerfileParser(path=str(ROOT / "Dockerfile"))
    return [(one["instruction"], one["value"]) for one in parser.structure]


def copied() -> list[str]:
    values = [value.split() for name, value in instructions() if name == "COPY" and not value.startswith("--from")]
    return [source for sources in values for source in sources[:-1]]


def requirements() -> Iterator[Requirement]:
    for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]:
        yield Requirement(line)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if not line.startswith("#")]
    assert len({canonicalize_name(name) for name, _ in found}) == len(found)
    return {canonicalize_name(name): version for name, version in found}


def test_hadolint_finds_no_fault_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    run = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = GitIgnoreSpec.from_lines((ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines())
    assert copied()
    for source in copied():
        assert (ROOT / source).exists(), source
        assert not ignored.match_file(source), source
    weights = Home(ROOT).find_weights("default").relative_to(ROOT)
    assert not ignored.match_file(weights)
    for path in (".git/config", ".venv/bin/python", "tests/conftest.py", "src/monuseg_cli/__pycache__/a.pyc"):
        assert ignored.match_file(path), path


def test_the_package_can_be_built_from_what_is_copied() -> None:
    build = PROJECT["readme"], *(path for path in PROJECT["license-files"]), "pyproject.toml"
    for path in build:
        assert any(path == source or path.startswith(f"{source}/") for source in copied()), path


def test_the_container_does_not_run_as_root_and_its_python_is_supported() -> None:
    (user,) = [value for name, value in instructions() if name == "USER"]
    assert user not in ("0", "root")
    bases = {value.split()[0] for name, value in instructions() if name == "FROM"}
    (version,) = {re.fullmatch(r"python:([\d.]+)-slim", base)[1] for base in bases}  # type: ignore[index]
    assert f"{version}.0" in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    after = [value for name, value in instructions() if name == "RUN"][-1]
    assert after.startswith("--network=none monuseg demo")


def test_all_extras_are_installed_but_those_that_the_page_names() -> None:
    (argument,) = [value for name, value in instructions() if name == "ARG"]
    name, extras = argument.split("=")
    (install,) = [value for name, value in instructions() if name == "RUN" and "pip install" in value]
    assert f'".[${{{name}}}]"' in install
    assert (
        f".[{extras}]"
        in yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"][2]["pip"]
    )
    page = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
    (missing,) = re.findall(r"Not in it are (.*?):", page, re.DOTALL)
    assert set(extras.split(",")) == EXTRAS.keys() - {"dev", "docs"} - set(re.findall(r"`(\w+)`", missing))
    (more,) = re.findall(rf"--build-arg {name}=(\S+)", page)
    assert set(extras.split(",")) < set(more.split(",")) <= EXTRAS.keys()


def test_the_environment_of_conda_names_a_supported_python_and_existing_files() -> None:
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, packages = content["dependencies"]
    assert f"{python.removeprefix('python=')}.0" in SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    (constraints,) = [line.split()[1] for line in packages["pip"] if line.startswith("--constraint")]
    assert (ROOT / constraints).is_file()


def test_the_tested_versions_satisfy_every_requirement() -> None:
    versions = pins()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        if name not in BUILD_ONLY:
            assert versions[name] in requirement.specifier, requirement


def test_every_line_of_the_constraints_is_one_version() -> None:
    for name, version in pins().items():
        requirement = Requirement(f"{name}=={version}")
        assert [(one.operator, one.version) for one in requirement.specifier] == [("==", version)]
