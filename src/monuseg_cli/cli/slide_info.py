"""``monuseg slide-info``."""

from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command, table


@command({"a slide": "monuseg slide-info slide.svs"})
def slide_info(
    session: Session,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image or a slide.")],
) -> None:
    """Show the size, levels, tiles, compression and scale of a slide."""
    from monuseg_cli.imaging.slide import Slide

    with Slide(image) as slide:
        rows = table("level", "width x height", "downsample", "tile", "compression")
        for number, level in enumerate(slide.levels):
            (height, width), (tall, wide) = level.shape, level.chunk
            rows.add_row(
                str(number), f"{width} x {height}", f"{level.downsample:.4g}", f"{wide} x {tall}", level.compression
            )
        scale = f"{slide.mpp:.4f} um/px ({slide.mpp_source})" if slide.mpp else slide.mpp_source
        content = {
            "path": image,
            "kind": slide.kind,
            "levels": slide.levels,
            "mpp": slide.mpp,
            "mpp_source": slide.mpp_source,
            "note": slide.note,
        }
        notes = [f"Note: {slide.note}"] if slide.note else []
        missing = [f"{level.missing} of level {number}" for number, level in enumerate(slide.levels) if level.missing]
        if missing:
            notes.append(f"Tiles missing in the file, read as glass: {', '.join(missing)}")
        session.show(content, f"{image}: {slide.kind}", rows, f"Scale: {scale}", *notes)
