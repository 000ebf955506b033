"""``monuseg view``."""

import sys
import webbrowser
from os import environ
from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command
from monuseg_cli.cli.option_names import with_options
from monuseg_cli.core.extras import require_extra


@command(
    {
        "a slide with the nuclei that monuseg predict found in it": "monuseg view slide.svs",
        "with nuclei of another tool": "monuseg view slide.svs --nuclei cells.geojson",
        "with a label image": "monuseg view slide.svs --nuclei labels.tif",
        "on a server, through ssh -L 8800:127.0.0.1:8800": "monuseg view slide.svs --port 8800 --no-browser",
    }
)
def view(
    session: Session,
    slide: Annotated[Path, typer.Argument(metavar="SLIDE", help="An image or a slide.")],
    nuclei: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its nuclei: GeoParquet or GeoJSON of any tool, Aperio XML, a label image or mask, or a table of "
            "monuseg (.csv).",
            show_default="the latest prediction, near the slide or here",
        ),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Count the nuclei in these regions: a GeoJSON exported from QuPath.",
            show_default="those of the prediction",
        ),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="Scale of the slide in micrometres per pixel.", show_default="as stated")
    ] = None,
    series: Annotated[
        int | None,
        typer.Option(help="Which image of the file, as numbered by slide-info.", show_default="the largest scan"),
    ] = None,
    plane: Annotated[
        int | None, typer.Option(help="Which focal plane, from 0.", show_default="z = 0, or the middle one")
    ] = None,
    skip_damaged: Annotated[bool, typer.Option("--skip-damaged", help="Show unreadable tiles in white.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine.", show_default="a free one")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the address in the browser.")] = True,
) -> None:
    """Look at a slide and its nuclei in the browser.

    Zoom, colour the nuclei by a measurement, click one for its numbers, count them in regions, and save what you see.
    The page is served on this machine only, to whoever knows its address. Nothing is sent anywhere, and nothing is
    changed. Ctrl-C ends it.
    """
    from monuseg_cli.viewer.serve import HOST, listen, serve

    require_extra("view", "the viewer", starlette="starlette", uvicorn="uvicorn")
    from monuseg_cli.viewer.app import build_app
    from monuseg_cli.viewer.guard import new_token
    from monuseg_cli.viewer.session import ViewConfig, ViewSession

    config = ViewConfig(slide, nuclei, regions, mpp, series, plane, skip_damaged)
    with listen(port) as listening, ViewSession(config, session.progress, (Path.cwd(),)) as shown:
        token = new_token()
        address = f"http://{HOST}:{listening.getsockname()[1]}/{token}/"
        session.show({"address": address, "slide": slide, "nuclei": shown.nuclei_path}, f"Open {address}")
        if browser and _has_screen():
            webbrowser.open(address)
        serve(build_app(shown, token, with_options), listening)


def _has_screen() -> bool:
    """Whether a browser can be opened; without a screen, one in the terminal might be."""
    return sys.platform in ("win32", "darwin") or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
