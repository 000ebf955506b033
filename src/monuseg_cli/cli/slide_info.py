"""``monuseg slide-info``."""

from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.cli.option_names import with_options


@command({"a slide": "monuseg slide-info slide.svs"})
def slide_info(
    session: Session,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image or a slide.")],
    series: Annotated[
        int | None, typer.Option(help="Which image of the file, by its number.", show_default="the largest scan")
    ] = None,
    plane: Annotated[
        int | None, typer.Option(help="Which focal plane, from 0.", show_default="z = 0, or the middle one")
    ] = None,
) -> None:
    """Show the size, levels, tiles, compression and scale of a slide.

    If the file holds several images, all of them are listed.
    """
    from monuseg_cli.imaging.slide import Slide

    with Slide(image, series=series, plane=plane) as slide:
        levels = table("level", "width x height", "downsample", "tile", "compression")
        for number, level in enumerate(slide.levels):
            (height, width), (tall, wide) = level.shape, level.chunk
            levels.add_row(
                str(number), f"{width} x {height}", f"{level.downsample:.4g}", f"{wide} x {tall}", level.compression
            )
        images = table("image", "name", "what", "width x height", "um/px", "planes", "")
        for number, found in enumerate(slide.images):
            stated = found.scale.mpp if found.scale else None
            scale = f"{stated:.4f}" if stated else "-"
            size, taken = f"{found.shape[1]} x {found.shape[0]}", "taken" if number == slide.series else ""
            images.add_row(str(number), found.name or "-", found.role, size, scale, str(found.planes), taken)
        content = {
            "path": image,
            "kind": slide.kind,
            "levels": slide.levels,
            "mpp": slide.mpp,
            "mpp_source": slide.mpp_source,
            "note": slide.note,
            "images": slide.images,
            "series": slide.series,
            "plane": slide.plane,
            "origin": slide.origin,
        }
        scale = f"{slide.mpp:.4f} um/px ({slide.mpp_source})" if slide.mpp else slide.mpp_source
        notes = [f"Note: {with_options(slide.note)}"] if slide.note else []
        missing = [f"{level.missing} of level {number}" for number, level in enumerate(slide.levels) if level.missing]
        if missing:
            notes.append(f"Tiles missing in the file, read as glass: {', '.join(missing)}")
        several = [images] if len(slide.images) > 1 else []
        session.show(content, f"{image}: {slide.kind}", levels, *several, f"Scale: {scale}", *notes)
