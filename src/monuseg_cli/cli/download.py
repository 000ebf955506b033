"""``monuseg download``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from monuseg_cli.cli.console import Session, command, table


@command(
    {
        "the whole data set": "monuseg download",
        "from a zip that was downloaded with a browser": "monuseg download --archive MoNuSegTestData.zip",
    }
)
def download(
    session: Session,
    split: Annotated[Literal["train", "test", "all"], typer.Option(help="Part of the data set.")] = "all",
    archive: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Read this local zip instead of downloading; may be repeated."),
    ] = None,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Accept an archive whose hash is not the published one.")
    ] = False,
) -> None:
    """Download, verify and unpack the MoNuSeg data set (CC BY-NC-SA 4.0)."""
    from monuseg_cli.dataset.catalog import SPLITS
    from monuseg_cli.dataset.config import DownloadConfig
    from monuseg_cli.dataset.download import download as run

    result = run(
        DownloadConfig(
            dataset=session.home.dataset,
            splits=SPLITS if split == "all" else (split,),
            archives=tuple(archive or ()),
            allow_unverified=allow_unverified,
        ),
        session.progress,
    )
    rows = table("split", "cases", "archive", "published hash")
    for source in result.dataset.archives:
        cases = len(result.dataset.of_split(source.split))
        rows.add_row(source.split, str(cases), source.source, "yes" if source.verified else "no")
    session.show(result, rows, f"Data set: {result.dataset.root}", then="masks")
