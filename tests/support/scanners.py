"""Slides as scanners write them, made by hand: as small as OpenSlide still opens them."""

import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import tifffile
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]

JPEG: Mapping[str, Any] = {"compression": "jpeg", "compressionargs": {"level": 95}, "photometric": "rgb"}
TILE = 256
_LEICA = "http://www.leica-microsystems.com/scn/2010/10/01"


def halved(picture: Picture) -> Picture:
    """Take every second row and column."""
    return np.ascontiguousarray(picture[::2, ::2])


def per_cm(mpp: float) -> dict[str, Any]:
    """Options of tifffile that state a scale in the resolution tags."""
    return {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}


def write_scn(
    path: Path,
    scans: Sequence[tuple[Picture, tuple[int, int]]],
    macro: Picture,
    nm: int = 250,
    light: str = "brightfield",
) -> Path:
    """Write a Leica SCN: the macro first, then each scan of two levels at an offset (x, y) in nanometres."""
    whole = 26_564_529, 76_734_666
    pages = [(macro, 1e7 / (whole[0] / macro.shape[1]))]
    images = [_scn_image("image_1", macro.shape, whole, (0, 0), [(macro.shape, 0)], "0.6", "brightfield")]
    for number, (scan, offset) in enumerate(scans, start=2):
        half = halved(scan)
        levels = [(scan.shape, len(pages)), (half.shape, len(pages) + 1)]
        size = scan.shape[1] * nm, scan.shape[0] * nm
        images.append(_scn_image(f"image_{number}", scan.shape, size, offset, levels, "40", light))
        pages += [(scan, 1e7 / nm), (half, 5e6 / nm)]
    text = (
        f'<?xml version="1.0"?><scn xmlns="{_LEICA}" uuid="urn:uuid:1"><collection name="c" uuid="urn:uuid:2" '
        f'sizeX="{whole[0]}" sizeY="{whole[1]}"><barcode>A</barcode>{"".join(images)}</collection></scn>'
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for number, (pixels, resolution) in enumerate(pages):
            tiff.write(
                pixels,
                tile=(TILE, TILE),
                description=text if not number else None,
                resolution=(resolution, resolution),
                resolutionunit="CENTIMETER",
                metadata=None,
                **JPEG,
            )
    return path


def _scn_image(
    name: str,
    shape: Sequence[int],
    size: tuple[int, int],
    offset: tuple[int, int],
    levels: Sequence[tuple[Sequence[int], int]],
    objective: str,
    light: str,
) -> str:
    dimensions = "".join(
        f'<dimension sizeX="{level[1]}" sizeY="{level[0]}" r="{number}" ifd="{ifd}"/>'
        for number, (level, ifd) in enumerate(levels)
    )
    return (
        f'<image name="{name}" uuid="urn:uuid:{name}"><creationDate>2020-08-19T12:06:35.19Z</creationDate>'
        '<device model="Leica SCN400;Leica SCN" version="1"/>'
        f'<pixels sizeX="{shape[1]}" sizeY="{shape[0]}">{dimensions}</pixels>'
        f'<view sizeX="{size[0]}" sizeY="{size[1]}" offsetX="{offset[0]}" offsetY="{offset[1]}"/>'
        f"<scanSettings><objectiveSettings><objective>{objective}</objective></objectiveSettings><illuminationSettings>"
        f"<numericalAperture>0.65</numericalAperture><illuminationSource>{light}</illuminationSource>"
        "</illuminationSettings></scanSettings></image>"
    )


def write_ndpi(path: Path, planes: Mapping[int, Picture], macro: Picture, mpp: float = 0.25) -> Path:
    """Write a Hamamatsu NDPI: of each focal plane, by its offset in nanometres, two levels; then the macro."""
    pages = [(level, 40.0 / step, offset, mpp * step) for step in (1, 2) for offset, level in _stepped(planes, step)]
    pages.append((macro, -1.0, 0, 65.0))
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        for pixels, lens, offset, scale in pages:
            tags = [
                (65420, 4, 1, 1, True),  # is an NDPI
                (65421, 11, 1, lens, True),  # the objective, or what is beside the scan
                (65422, 9, 1, 0, True),
                (65423, 9, 1, 0, True),
                (65424, 9, 1, offset, True),
                (271, 2, 0, "Hamamatsu", True),
                (272, 2, 0, "NanoZoomer", True),
            ]
            rows = pixels.shape[0]
            tiff.write(pixels, rowsperstrip=rows, extratags=tags, metadata=None, **JPEG, **per_cm(scale))
    path.write_bytes(_with_long_offsets(file.getvalue()))
    return path


def _with_long_offsets(classic: bytes) -> bytes:
    """Turn a TIFF of one strip per page into Hamamatsu's kind: offsets of 8 bytes, upper halves behind each page."""
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8, 11: 4, 12: 8}
    shift = 16
    (start,) = struct.unpack_from("<I", classic, 4)
    directories = []
    while start:
        (count,) = struct.unpack_from("<H", classic, start)
        entries = []
        for number in range(count):
            code, kind, values, value = struct.unpack_from("<HHII", classic, start + 2 + 12 * number)
            is_offset = code == 273 or sizes[kind] * values > 4
            entries.append(struct.pack("<HHII", code, kind, values, value + shift if is_offset else value))
        directories.append(entries)
        (start,) = struct.unpack_from("<I", classic, start + 2 + 12 * count)
    first = -(-(shift + len(classic)) // 8) * 8
    content = struct.pack("<2sHQ", b"II", 42, first).ljust(shift, b"\0") + classic
    content = content.ljust(first, b"\0")
    for number, entries in enumerate(directories):
        size = 2 + 12 * len(entries) + 8 + 4 * len(entries)
        following = 0 if number == len(directories) - 1 else len(content) + size
        content += struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<Q", following)
        content += bytes(4 * len(entries))
    return content


def _stepped(planes: Mapping[int, Picture], step: int) -> list[tuple[int, Picture]]:
    return [(offset, np.ascontiguousarray(plane[::step, ::step])) for offset, plane in planes.items()]


def write_philips(path: Path, scan: Picture, label: Picture, mpp: float = 0.25, missing: Sequence[int] = ()) -> Path:
    """Write a Philips TIFF of two levels, both padded to whole tiles; the sides of `scan` are multiples of a tile's."""
    half = halved(scan)
    spacing = [f"&quot;{mpp * step / 1000:.9f}&quot; &quot;{mpp * step / 1000:.9f}&quot;" for step in (1, 2)]
    levels = "".join(
        f'<DataObject ObjectType="PixelDataRepresentation">{_philips("DICOM_PIXEL_SPACING", value)}'
        f"{_philips('PIIM_PIXEL_DATA_REPRESENTATION_NUMBER', str(number))}</DataObject>"
        for number, value in enumerate(spacing)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        f'{_philips("DICOM_MANUFACTURER", "PHILIPS")}<Attribute Name="PIM_DP_SCANNED_IMAGES" Group="0x301D" '
        'Element="0x1003" PMSVR="IDataObjectArray"><Array><DataObject ObjectType="DPScannedImage">'
        f"{_philips('PIM_DP_IMAGE_TYPE', 'WSI')}{_philips('DICOM_PIXEL_SPACING', spacing[0])}"
        '<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE" Group="0x1001" Element="0x8B01" '
        f'PMSVR="IDataObjectArray"><Array>{levels}</Array></Attribute></DataObject></Array></Attribute></DataObject>'
    )
    down, across = (-(-side // TILE) * TILE for side in half.shape[:2])
    padded = np.zeros((down, across, 3), dtype=np.uint8)
    padded[: half.shape[0], : half.shape[1]] = half
    options: dict[str, Any] = {"metadata": None, "software": "Philips DP v1.0", **JPEG}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(scan, tile=(TILE, TILE), description=text, **options)
        tiff.write(padded, tile=(TILE, TILE), description="level=1 mag=20", subfiletype=1, **options)
        tiff.write(label, rowsperstrip=label.shape[0], description="Label", subfiletype=1, **options)
    if missing:
        with tifffile.TiffFile(path, mode="r+") as file:
            for name in ("TileOffsets", "TileByteCounts"):
                tag = file.pages.first.tags[name]
                tag.overwrite(tuple(0 if number in missing else value for number, value in enumerate(tag.value)))
    return path


def _philips(name: str, value: str) -> str:
    return f'<Attribute Name="{name}" Group="0x0028" Element="0x0030" PMSVR="IString">{value}</Attribute>'


def write_bif(path: Path, scan: Picture, label: Picture, overlap: int, mpp: float = 0.25) -> Path:
    """Write a Ventana BIF of one level, 3 by 3 tiles that overlap their neighbours; the label comes first."""
    step, count = TILE - overlap, 3
    stored = np.zeros((count * TILE, count * TILE, 3), dtype=np.uint8)
    for row in range(count):
        for col in range(count):
            tile = scan[row * step : row * step + TILE, col * step : col * step + TILE]
            stored[row * TILE : row * TILE + tile.shape[0], col * TILE : col * TILE + tile.shape[1]] = tile
    iscan = f'<iScan Z-layers="1" Magnification="40" ScanRes="{mpp}" UnitNumber="1"></iScan>'
    joints = []
    for row in range(count):  # counted from below, every second row from the right
        for col in range(count):
            number = row * count + col + 1
            if col + 1 < count:
                first, second = (number, number + 1) if row % 2 == 0 else (number + 1, number)
                joints.append(("RIGHT", first, second, overlap, 0))
            if row + 1 < count:
                joints.append(("UP", number, (row + 1) * count + (count - col), 0, overlap))
    infos = "".join(
        f'<TileJointInfo FlagJoined="1" Confidence="98" Direction="{way}" Tile1="{first}" Tile2="{second}" '
        f'OverlapX="{x}" OverlapY="{y}"/>'
        for way, first, second, x, y in joints
    )
    encode = (
        f'<EncodeInfo Ver="2"><SlideInfo/><SlideStitchInfo><ImageInfo AOIScanned="1" AOIIndex="0" NumRows="{count}" '
        f'NumCols="{count}" Width="{TILE}" Height="{TILE}" Pos-X="0" Pos-Y="0">{infos}</ImageInfo></SlideStitchInfo>'
        '<AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for pixels, description, xmp in (
            (label, "Label Image", f"<?xml version='1.0'?>{iscan}"),
            (stored, "level=0 mag=40 quality=95", f"<?xml version='1.0'?>{encode}"),
            (halved(stored), "level=1 mag=20 quality=95", ""),
        ):
            tags = [(700, 1, len(xmp), xmp.encode(), True)] if xmp else []
            tiled = {"tile": (TILE, TILE)} if pixels is not label else {"rowsperstrip": label.shape[0]}
            tiff.write(
                pixels, description=description, extratags=tags, software="ScanOutputManager 1.1", metadata=None,
                **tiled, **JPEG,
            )  # fmt: skip
    return path


def write_trestle(path: Path, scan: Picture, overlap: int, mpp: float = 0.25) -> Path:
    """Write a Trestle TIFF of one level, 3 by 3 tiles that overlap their neighbours."""
    step, count = TILE - overlap, 3
    stored = np.zeros((count * TILE, count * TILE, 3), dtype=np.uint8)
    for row in range(count):
        for col in range(count):
            tile = scan[row * step : row * step + TILE, col * step : col * step + TILE]
            stored[row * TILE : row * TILE + tile.shape[0], col * TILE : col * TILE + tile.shape[1]] = tile
    tifffile.imwrite(
        path,
        stored,
        tile=(TILE, TILE),
        software="MedScan v1",
        description=f"Objective Power=40;Background Color=ffffff;OverlapsXY= {overlap} {overlap}",
        resolution=(mpp, mpp),  # Trestle's use of the tags
        resolutionunit="NONE",
        metadata=None,
        **JPEG,
    )
    return path


def jpeg_bytes(picture: Picture, **options: Any) -> bytes:
    """Encode a JPEG without subsampling of colour."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95, subsampling=0, **options)
    return file.getvalue()


def write_vms(path: Path, scan: Picture, macro: Picture, mpp: float = 0.25) -> Path:
    """Write a Hamamatsu VMS: an index, and JPEG files beside it for the scan, a map of it, and the macro."""
    height, width = scan.shape[:2]
    stem = path.stem
    (path.parent / f"{stem}.jpg").write_bytes(jpeg_bytes(scan, restart_marker_blocks=8))
    (path.parent / f"{stem}_map.jpg").write_bytes(
        jpeg_bytes(np.ascontiguousarray(scan[::4, ::4]), restart_marker_blocks=8)
    )
    (path.parent / f"{stem}_macro.jpg").write_bytes(jpeg_bytes(macro))
    um = 1000
    path.write_text(
        "[Virtual Microscope Specimen]\r\nNoLayers=1\r\nNoJpegColumns=1\r\nNoJpegRows=1\r\n"
        f"ImageFile={stem}.jpg\r\nMapFile={stem}_map.jpg\r\nMacroImage={stem}_macro.jpg\r\n"
        f"PhysicalWidth={round(width * mpp * um)}\r\nPhysicalHeight={round(height * mpp * um)}\r\nSourceLens=40\r\n"
    )
    return path


def write_mrxs(path: Path, scan: Picture, overlap: int = 0, missing: Sequence[int] = (), mpp: float = 0.25) -> Path:
    """Write a 3DHISTECH MRXS of one level, 3 by 3 images that overlap, without some of them."""
    folder = path.with_suffix("")
    folder.mkdir()
    path.write_bytes(
        jpeg_bytes(np.ascontiguousarray(scan[::16, ::16]))
    )  # a picture for file browsers, as scanners write
    count, step, slide_id = 3, TILE - overlap, "0123456789ABCDEF0123456789ABCDEF"
    data, records = b"data", []
    for number in range(count * count):
        row, col = (number // count) * step, (number % count) * step
        image = np.full((TILE, TILE, 3), 255, dtype=np.uint8)
        part = scan[row : row + TILE, col : col + TILE]
        image[: part.shape[0], : part.shape[1]] = part
        content = jpeg_bytes(image)
        if number not in missing:
            records.append((number, len(data), len(content), 0))
        data += content
    (folder / "Data0000.dat").write_bytes(data)
    head = b"01.02" + slide_id.encode()
    hierarchy = len(head) + 8  # where both roots point to: of levels, and of what is beside them
    index = head + struct.pack("<ii", hierarchy, hierarchy) + struct.pack("<i", hierarchy + 4)
    index += struct.pack("<ii", 0, hierarchy + 12)
    index += struct.pack("<ii", len(records), 0)
    index += b"".join(struct.pack("<iiii", *record) for record in records)
    (folder / "Index.dat").write_bytes(index)
    level = (
        f"[LEVEL0]\r\nOVERLAP_X = {overlap}\r\nOVERLAP_Y = {overlap}\r\nMICROMETER_PER_PIXEL_X = {mpp}\r\n"
        f"MICROMETER_PER_PIXEL_Y = {mpp}\r\nIMAGE_FILL_COLOR_BGR = 16777215\r\nDIGITIZER_WIDTH = {TILE}\r\n"
        f"DIGITIZER_HEIGHT = {TILE}\r\nIMAGE_CONCAT_FACTOR = 0\r\nIMAGE_FORMAT = JPEG\r\n"
    )
    (folder / "Slidedat.ini").write_text(
        f"[GENERAL]\r\nSLIDE_VERSION = 01.02\r\nSLIDE_ID = {slide_id}\r\nIMAGENUMBER_X = {count}\r\n"
        f"IMAGENUMBER_Y = {count}\r\nOBJECTIVE_MAGNIFICATION = 40\r\nCameraImageDivisionsPerSide = 1\r\n"
        "[HIERARCHICAL]\r\nHIER_COUNT = 1\r\nNONHIER_COUNT = 0\r\nINDEXFILE = Index.dat\r\n"
        "HIER_0_NAME = Slide zoom level\r\nHIER_0_COUNT = 1\r\nHIER_0_VAL_0_SECTION = LEVEL0\r\n"
        f"[DATAFILE]\r\nFILE_COUNT = 1\r\nFILE_0 = Data0000.dat\r\n{level}",
        newline="",
    )
    return path


def write_dicom(folder: Path, scan: Picture, label: Picture, mpp: float = 0.25, series: str = "1.2.3.4") -> Path:
    """Write a whole slide in DICOM: files of two levels, whose tiles are JPEGs, and one of the label."""
    folder.mkdir(exist_ok=True)
    half = halved(scan)
    for number, (pixels, kind) in enumerate(
        (
            (scan, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
            (half, ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]),
            (label, ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]),
        )
    ):
        tile = TILE if pixels is not label else None
        data = _dicom(pixels, kind, f"{series}.{number}", series, tile, mpp * scan.shape[1] / pixels.shape[1] / 1000)
        data.save_as(folder / f"{series}.{number}.dcm", enforce_file_format=True)
    return folder


def _dicom(pixels: Picture, kind: Sequence[str], uid: str, series: str, tile: int | None, spacing: float) -> Any:
    height, width = pixels.shape[:2]
    down, across = (tile, tile) if tile else (height, width)
    frames = []
    for row in range(0, height, down):
        for col in range(0, width, across):
            frame = np.full((down, across, 3), 255, dtype=np.uint8)
            part = pixels[row : row + down, col : col + across]
            frame[: part.shape[0], : part.shape[1]] = part
            frames.append(jpeg_bytes(frame))
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.VLWholeSlideMicroscopyImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.UID(uid)
    data.SeriesInstanceUID = series
    data.StudyInstanceUID, data.FrameOfReferenceUID = pydicom.uid.UID("1.2.3"), pydicom.uid.UID("1.2.3.9")
    data.Modality, data.ImageType = "SM", list(kind)
    data.Rows, data.Columns, data.NumberOfFrames = down, across, len(frames)
    data.TotalPixelMatrixRows, data.TotalPixelMatrixColumns, data.TotalPixelMatrixFocalPlanes = height, width, 1
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "YBR_FULL_422", 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.DimensionOrganizationType = "TILED_FULL"
    measures, groups = pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing = [spacing, spacing]
    groups.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [groups]
    path = pydicom.Dataset()
    path.ObjectiveLensPower = 40
    data.OpticalPathSequence = [path]
    data.PixelData = pydicom.encaps.encapsulate(frames)
    return data
