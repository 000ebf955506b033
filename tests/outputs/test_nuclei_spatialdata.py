"""SpatialData stores, read back and used by spatialdata itself."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image

from conftest import Monuseg
from monuseg_cli.core.errors import InputError, OutputError
from monuseg_cli.core.home import Home
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.columns import columns_of
from monuseg_cli.outputs.nuclei_spatialdata import nuclei_spatialdata, require_replaceable
from monuseg_cli.outputs.plan import OutputSpec, plan_outputs
from support.classes import COLOURS, MPP, made_classes, write_two_kinds
from support.halves import PICTURE, predict_halves
from support.ome_zarr import write_ome_zarr
from support.processes import run_without
from support.rows import read_rows
from support.spatial import read_store, write_store


def snapshot(store: Path) -> dict[str, bytes]:
    """Return the content of every file of a store."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.fixture
def predicted(trained_home: Home, tmp_path: Path) -> Callable[..., Path]:
    """Predict on a picture, inside both halves; give the folder of the outputs."""
    image = tmp_path / "picture.png"

    def run(folder: str, *names: str, **asked: Any) -> Path:
        predict_halves(trained_home, image, *(tmp_path / folder / name for name in names), **asked)
        return tmp_path / folder

    return run


def test_spatialdata_reads_what_the_other_tables_say(predicted: Callable[..., Path], tmp_path: Path) -> None:
    folder = predicted("out", "n.zarr", "n.csv", "n.parquet")
    store, rows = read_store(folder / "n.zarr"), read_rows(folder / "n.csv")
    kept = geopandas.read_parquet(folder / "n.parquet")
    outlines, table = store["nuclei"], store["table"]
    assert len(outlines) == len(table) == len(rows) > 20
    assert outlines.index.tolist() == table.obs["id"].tolist() == [int(row["id"]) for row in rows]
    assert shapely.equals_exact(outlines.geometry.to_numpy(), kept.geometry.to_numpy()).all()
    places = [(float(row["col_px"]), float(row["row_px"])) for row in rows]
    np.testing.assert_array_equal(table.obsm["spatial"], places)
    columns = [column for column in columns_of() if column.name not in ("id", "row_px", "col_px")]
    assert table.var_names.tolist() == [column.name for column in columns]
    assert table.var["unit"].tolist() == [column.unit for column in columns]
    for column in columns:
        expected = [float(row[column.name] or "nan") for row in rows]
        np.testing.assert_array_equal(table[:, column.name].X[:, 0], expected, column.name)
    assert table.obs["roi"].tolist() == [row["region"] for row in rows]
    assert set(table.obs["roi"]) == {"top", "bottom"}
    attributes = store.attrs["monuseg"]
    assert attributes["record"]["model"]["architecture"] == "unet-se"
    assert attributes["found"]["nuclei"] == len(rows)
    image = {"path": str(tmp_path / "picture.png"), "series": 0, "plane": 0, "height": 150, "width": 150, "mpp": 0.4}
    assert attributes["image"] == image
    assert not list(store.images)


def test_outlines_are_in_pixels_and_in_micrometres_if_the_scale_is_known(predicted: Callable[..., Path]) -> None:
    folder = predicted("out", "n.zarr")
    store = read_store(folder / "n.zarr")
    assert sorted(store.coordinate_systems) == ["global", "micrometres"]
    with warnings.catch_warnings(action="ignore"):
        scaled = store.transform_to_coordinate_system("micrometres")["nuclei"]
    areas = store["table"][:, "area_um2"].X[:, 0]
    np.testing.assert_allclose(scaled.area.to_numpy(), areas, rtol=0.01)
    np.testing.assert_allclose(store["nuclei"].area.to_numpy() * 0.16, areas, rtol=0.01)
    assert read_store(predicted("unknown", "n.zarr", mpp=None) / "n.zarr").coordinate_systems == ["global"]


def test_spatialdata_aggregates_measurements_over_other_shapes(predicted: Callable[..., Path]) -> None:
    store = read_store(predicted("out", "n.zarr") / "n.zarr")
    boxes = [shapely.box(x, y, x + 50, y + 50) for y in (0, 50, 100) for x in (0, 50, 100)]
    with warnings.catch_warnings(action="ignore"):
        import spatialdata

        squares = spatialdata.models.ShapesModel.parse(geopandas.GeoDataFrame(geometry=boxes))
        found = spatialdata.aggregate(
            values="nuclei", values_sdata=store, by=squares, value_key="area_um2", agg_func="sum", table_name="table"
        )
    areas = store["table"][:, "area_um2"].X[:, 0]
    outlines = store["nuclei"].geometry.to_numpy()
    expected = [areas[shapely.intersects(outlines, box)].sum() for box in boxes]
    assert min(expected) > 0
    np.testing.assert_allclose(found["table"].X.toarray()[:, 0], expected)


def test_classes_have_the_colours_of_the_classifier(monuseg: Monuseg, tmp_path: Path) -> None:
    image, labels, _ = write_two_kinds(tmp_path)
    classes = made_classes(tmp_path / "k.classes", "logistic regression")
    words = ("measure", image, "--nuclei", labels, "--mpp", MPP, "--classes", classes)
    done = monuseg(*words, "-o", tmp_path / "n.zarr", "-o", tmp_path / "n.csv", "--measurements", "neighbours")
    assert done.exit_code == 0, done.stderr
    table = read_store(tmp_path / "n.zarr")["table"]
    rows = read_rows(tmp_path / "n.csv")
    assert table.obs["class"].tolist() == [row["class"] for row in rows]
    assert table.obs["class"].cat.categories.tolist() == ["Long", "Round"]
    assert next(iter(table.uns["class_colors"])) == "#{:02x}{:02x}{:02x}".format(*COLOURS["Long"])
    for name in ("class_probability", "neighbours_50um"):
        np.testing.assert_array_equal(table[:, name].X[:, 0], [float(row[name]) for row in rows])
    assert "probability" not in table.var_names


def test_a_store_of_kept_nuclei_equals_that_of_a_prediction(predicted: Callable[..., Path]) -> None:
    fresh = predicted("fresh", "n.zarr")
    predicted("kept", "n.parquet")
    kept = predicted("kept", "n.zarr")
    record = json.loads((kept / "n.zarr.monuseg.json").read_text(encoding="utf-8"))
    assert record["found"]["made_from"] == str(kept / "n.parquet")
    assert snapshot(kept / "n.zarr") == snapshot(fresh / "n.zarr")


def test_a_store_is_skipped_if_it_was_done_and_replaced_if_settings_differ(
    predicted: Callable[..., Path], tmp_path: Path
) -> None:
    store = predicted("out", "n.zarr") / "n.zarr"
    before = store.stat().st_ino
    predicted("out", "n.zarr")
    assert store.stat().st_ino == before
    predicted("out", "n.zarr", rois=())
    assert store.stat().st_ino != before
    assert "roi" not in read_store(store)["table"].obs
    assert sorted(path.name for path in store.parent.iterdir()) == ["n.zarr", "n.zarr.monuseg.json"]


def test_without_nuclei_a_store_states_what_was_searched(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    layout = Layout((0, 0, 150, 150), (150, 150), 0.25, 0.25)
    with (
        Slide(tmp_path / "a.png") as slide,
        nuclei_spatialdata(tmp_path / "n.zarr", columns_of(), slide, layout, {"found": {"nuclei": 0}}, {}),
    ):
        pass
    store = read_store(tmp_path / "n.zarr")
    assert (list(store.shapes), list(store.tables)) == ([], [])
    assert store.attrs["monuseg"]["found"] == {"nuclei": 0}
    require_replaceable(tmp_path / "n.zarr")


def test_an_error_leaves_what_was_there(predicted: Callable[..., Path], tmp_path: Path) -> None:
    folder = predicted("out", "n.zarr")
    before = snapshot(folder)
    layout = Layout((0, 0, 150, 150), (150, 150), 0.25, 0.25)

    def write() -> None:
        with (
            Slide(tmp_path / "picture.png") as slide,
            nuclei_spatialdata(folder / "n.zarr", columns_of(), slide, layout, {}, {}),
        ):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert snapshot(folder) == before


NOT_A_STORE = "it exists and is not a SpatialData store; write elsewhere"
NOT_OURS = "it is a SpatialData store with more than the nuclei of monuseg; write elsewhere"


@pytest.mark.parametrize(
    ("what", "overwrite", "reason"),
    [
        ("file", True, NOT_A_STORE),
        ("folder", True, NOT_A_STORE),
        ("OME-Zarr", True, NOT_A_STORE),
        ("link", True, NOT_A_STORE),
        ("store", None, NOT_OURS + "$"),
        ("store", False, NOT_OURS + ", or replace it with `overwrite`"),
        ("nuclei and more", False, NOT_OURS),
        ("store", True, None),
        ("nuclei and more", True, None),
        ("nuclei", False, None),
        ("nothing", None, None),
    ],
)
def test_only_stores_of_nuclei_are_replaced_unasked(
    predicted: Callable[..., Path], tmp_path: Path, what: str, overwrite: bool | None, reason: str | None
) -> None:
    path = tmp_path / "out" / "n.zarr"
    path.parent.mkdir()
    if what == "file":
        path.write_text("mine")
    elif what == "folder":
        path.mkdir()
    elif what == "OME-Zarr":
        write_ome_zarr(path, np.moveaxis(PICTURE, -1, 0), "cyx")
    elif what == "link":
        path.symlink_to(write_store(tmp_path / "other.zarr"), target_is_directory=True)
    elif what == "store":
        write_store(path)
    elif what == "nuclei":
        predicted("out", "n.zarr")
    elif what == "nuclei and more":
        write_store(path, monuseg={})
    if reason:
        with pytest.raises(OutputError, match=reason):
            require_replaceable(path, overwrite)
    else:
        require_replaceable(path, overwrite)


def test_another_store_is_kept_unless_overwrite_is_given(monuseg: Monuseg, tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    store = write_store(tmp_path / "n.zarr")
    before = snapshot(tmp_path)
    words = ("predict", tmp_path / "a.png", "-o", store, "--engine", "torch", "--mpp", 0.25)
    for more in ((), ("--dry-run",)):
        refused = monuseg(*words, *more)
        assert refused.exit_code == 5
        assert "write elsewhere, or replace it with --overwrite" in refused.stderr
        assert snapshot(tmp_path) == before
    done = monuseg(*words, "--overwrite", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["written"] == [str(store)]
    assert list(read_store(store).shapes) == ["nuclei"]


def test_stores_in_a_folder_are_never_taken_for_images(monuseg: Monuseg, tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    Image.fromarray(PICTURE).save(folder / "a.png")
    words = ("predict", folder, "-o", folder, "--format", "zarr", "--engine", "torch", "--mpp", 0.25)
    assert monuseg(*words).exit_code == 0
    again = monuseg(*words, "--verbose")
    assert again.exit_code == 0, again.stderr
    assert "left out" not in again.stderr
    assert "Skipped, done before: 1 of 1" in again.stdout
    (folder / "a.zarr.monuseg.json").unlink()
    named = monuseg(*words)
    assert named.exit_code == 0, named.stderr
    assert "1 file of formats that are not read: a.zarr (SpatialData)" in named.stderr
    one = monuseg("predict", folder / "a.zarr", "-o", tmp_path / "m.png")
    assert one.exit_code == 3
    assert "SpatialData is not read; name the folder of an image in it, such as images/NAME" in one.stderr


def test_an_image_in_a_store_is_read_if_it_is_named(tmp_path: Path) -> None:
    store = write_store(tmp_path / "other.zarr", PICTURE)
    with Slide(store / "images" / "he") as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), PICTURE)
    with pytest.raises(InputError, match=r"other\.zarr: SpatialData is not read; name the folder of an image in it"):
        Slide(store)


def test_a_store_is_the_output_itself_and_no_folder_for_others(tmp_path: Path) -> None:
    store = write_store(tmp_path / "n.zarr", PICTURE)
    image = tmp_path / "a.png"
    (plan,) = plan_outputs([image], OutputSpec((f"{store}/",)))
    assert plan.stores == plan.files == (store,)
    (plan,) = plan_outputs([image], OutputSpec((str(tmp_path),), format="zarr"))
    assert plan.stores == (tmp_path / "a.zarr",)
    for images, outputs in {(store / "images" / "he",): (store,), (image,): (store, store / "n.csv")}.items():
        with pytest.raises(InputError, match=r"lies in .*n\.zarr, which would be replaced as a whole"):
            plan_outputs(images, OutputSpec(tuple(map(str, outputs))))


def test_without_spatialdata_it_says_what_to_install_before_anything_is_done(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    said = run_without("spatialdata", "predict", "a.png", "-o", "n.zarr", "--home", "home", folder=tmp_path)
    assert (said.returncode, said.stdout) == (4, "")
    assert said.stderr.strip().endswith("not installed: pip install 'monuseg-cli[spatial]'")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_other_formats_import_no_spatialdata(monuseg: Monuseg, tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    code = (
        "import sys\n"
        "from monuseg_cli.cli.app import app\n"
        "try:\n"
        "    app(['predict', 'a.png', '-o', 'n.csv', '-o', 'n.geojson', '--engine', 'torch', '--mpp', '0.25'])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "assert not sys.modules.keys() & {'spatialdata', 'anndata', 'geopandas', 'pandas', 'zarr', 'dask'}\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
