"""``monuseg download``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.core.errors import InputError

if TYPE_CHECKING:
    from monuseg_cli.dataset.download import DownloadResult


@command(
    {
        "the whole data set": "monuseg download",
        "NuInsSeg, from a zip downloaded with a browser": (
            "monuseg download --dataset nuinsseg --archive NuInsSeg.zip"
        ),
        "MoNuSeg, from a zip downloaded with a browser": "monuseg download --archive MoNuSegTestData.zip",
    }
)
def download(
    session: Session,
    dataset: Annotated[
        Literal["monuseg", "nuinsseg"], typer.Option(help="Data set; nuinsseg needs --archive.")
    ] = "monuseg",
    split: Annotated[Literal["train", "test", "all"], typer.Option(help="Part of MoNuSeg.")] = "all",
    archive: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Read this local zip (of nuinsseg also a folder) instead of downloading; may be repeated.",
        ),
    ] = None,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Accept an archive whose hash is not the published one.")
    ] = False,
) -> None:
    """Download, verify and unpack MoNuSeg (CC BY-NC-SA 4.0), or read NuInsSeg (CC BY 4.0)."""
    from monuseg_cli.dataset.catalog import NUINSSEG, SPLITS
    from monuseg_cli.dataset.config import DownloadConfig
    from monuseg_cli.dataset.download import download as run

    if dataset == NUINSSEG.name:
        result = _read_nuinsseg(session, archive or [], split)
    else:
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
    then = "masks" if dataset == "monuseg" else f"masks --data {dataset}"
    session.show(result, rows, f"Data set: {result.dataset.root}", then=then, written=[result.dataset.root])


def _read_nuinsseg(session: Session, archives: list[Path], split: str) -> "DownloadResult":
    from monuseg_cli.dataset.catalog import NUINSSEG
    from monuseg_cli.dataset.download import DownloadResult
    from monuseg_cli.dataset.nuinsseg import read_nuinsseg

    if len(archives) != 1 or split != "all":
        message = f"NuInsSeg is read whole, from one --archive; download it from https://doi.org/{NUINSSEG.doi}"
        raise InputError(message)
    dataset = read_nuinsseg(archives[0], session.home.other_dataset(NUINSSEG.name), session.progress)
    return DownloadResult(dataset, ("train", "test"))
