import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label

from conftest import SIZE, Told
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.config import MasksConfig, PatchesConfig
from monuseg_cli.dataset.folder import scan_folder
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import build_masks, labels_path, read_labels
from monuseg_cli.dataset.patches import PatchStore, _number_parts, build_patches
from monuseg_cli.imaging.read_image import read_image
from support.own import write_folder


def config(home: Home, **overrides: Any) -> PatchesConfig:
    return PatchesConfig(home.dataset, **{"patch_px": 40, "stride_px": 28, **overrides})


def test_patches_are_windows_of_their_case(trained_home: Home) -> None:
    result = build_patches(config(trained_home))
    assert (result.patches, result.cases) == (37 * 9, 37)
    store = PatchStore.load(result.folder)
    dataset = Dataset.load(trained_home.dataset)
    for index in (0, 100, 332):
        case = next(case for case in dataset.cases if case.case_id == store.case_ids[index])
        row, col = store.origins[index]
        pixels, _ = read_image(dataset.image_path(case))
        labels = read_labels(labels_path(dataset.root, case.case_id))
        np.testing.assert_array_equal(store.images[index], pixels[row : row + 40, col : col + 40])
        np.testing.assert_array_equal(store.labels[index], labels[row : row + 40, col : col + 40])
    assert store.origins.max() == SIZE - 40


def test_dropping_the_edge_leaves_out_the_last_window(trained_home: Home) -> None:
    assert build_patches(config(trained_home, stride_px=30, edge="drop")).patches == 37 * 4
    assert build_patches(config(trained_home, stride_px=30, edge="shift")).patches == 37 * 9


def test_a_split_is_by_case(trained_home: Home) -> None:
    store = PatchStore.load(build_patches(config(trained_home)).folder)
    wanted = sorted(set(store.case_ids))[:3]
    indices = store.of_cases(wanted)
    assert {store.case_ids[index] for index in indices} == set(wanted)
    assert len(indices) == 27
    with pytest.raises(MissingError, match=r"1 cases have no patch .*TCGA-nobody"):
        store.of_cases(["TCGA-nobody", wanted[0]])


def test_png_patches_equal_those_of_the_store(trained_home: Home) -> None:
    build_masks(MasksConfig(trained_home.dataset))
    result = build_patches(config(trained_home, format="png", split="test"))
    store = PatchStore.load(result.folder)
    row, col = store.origins[4]
    stem = result.folder / "png" / f"{store.case_ids[4]}_r{row:04d}_c{col:04d}"
    with Image.open(f"{stem}_image.png") as image, Image.open(f"{stem}_mask.png") as mask:
        np.testing.assert_array_equal(np.asarray(image), store.images[4])
        np.testing.assert_array_equal(np.asarray(mask), np.where(store.labels[4] > 0, 255, 0))
    assert len(list((result.folder / "png").iterdir())) == 2 * result.patches
    assert not build_patches(config(trained_home, split="test")).made


def test_a_store_is_made_again_only_when_a_mask_changes(trained_home: Home) -> None:
    assert build_patches(config(trained_home)).made
    assert not build_patches(config(trained_home)).made
    dataset = Dataset.load(trained_home.dataset)
    case = dataset.of_split("train")[0]
    xml = dataset.annotation_path(case)
    xml.write_text("<Annotations/>")
    labels_path(dataset.root, case.case_id).unlink()
    build_masks(MasksConfig(dataset.root))
    told = Told()
    assert build_patches(config(trained_home), told).made
    folder = config(trained_home).folder
    assert told.lines == [f"the patches in {folder} were made from other images, masks or scales: they are cut again"]
    assert not build_patches(config(trained_home)).made


def test_a_store_made_with_other_settings_is_named_as_such(trained_home: Home) -> None:
    wanted, other = config(trained_home), config(trained_home, stride_px=16)
    build_patches(other)
    shutil.move(other.folder, wanted.folder)
    told = Told()
    assert build_patches(wanted, told).made
    assert told.lines == [f"the patches in {wanted.folder} were made with stride_px 16, not 28: they are cut again"]


def test_a_patch_read_is_the_patch_mapped(trained_home: Home) -> None:
    store = PatchStore.load(build_patches(config(trained_home)).folder)
    for index in (0, 5, len(store.case_ids) - 1):
        image, labels = store.read(index)
        np.testing.assert_array_equal(image, store.images[index])
        np.testing.assert_array_equal(labels, store.labels[index])
    with pytest.raises(IndexError):
        store.read(len(store.case_ids))


def test_bad_settings_and_missing_masks_are_said(data_home: Home) -> None:
    with pytest.raises(MissingError, match=r"no mask of TCGA-.*; make it with: monuseg masks"):
        build_patches(config(data_home))
    with pytest.raises(InputError, match="`patch_px` and `stride_px` must be at least 1"):
        build_patches(config(data_home, stride_px=0))
    assert not (data_home.dataset / "patches").exists() or not list((data_home.dataset / "patches").iterdir())


def test_what_is_smaller_than_a_patch_is_mirrored(data_home: Home) -> None:
    build_masks(MasksConfig(data_home.dataset))
    told = Told()
    result = build_patches(config(data_home, patch_px=SIZE + 20, edge="drop"), told)
    assert f"37 of 37 cases are smaller than a patch of {SIZE + 20} px" in told.lines[-1]
    assert result.patches == 37
    store, dataset = PatchStore.load(result.folder), Dataset.load(data_home.dataset)
    seen = copied = 0
    for index, case_id in enumerate(store.case_ids):
        image, labels = store.read(index)
        whole = read_labels(labels_path(dataset.root, case_id))
        np.testing.assert_array_equal(image[:SIZE, SIZE:], image[:SIZE, SIZE - 20 : SIZE][:, ::-1])
        np.testing.assert_array_equal(labels[:SIZE, :SIZE], whole)
        # A nucleus at the mirror is one with its copy; another one and its copy are two.
        np.testing.assert_array_equal(labels[:SIZE, SIZE - 1], labels[:SIZE, SIZE])
        beyond = set(np.unique(labels[:SIZE, SIZE:]).tolist()) - set(np.unique(labels[:SIZE, SIZE]).tolist()) - {0}
        assert beyond.isdisjoint(np.unique(labels[:SIZE, :SIZE]).tolist())
        seen += bool(labels[:SIZE, SIZE].any())
        copied += bool(beyond)
    assert seen
    assert copied


def test_a_store_without_its_arrays_is_made_again(trained_home: Home) -> None:
    folder = build_patches(config(trained_home)).folder
    (folder / "images.npy").unlink()
    assert build_patches(config(trained_home)).made
    assert not build_patches(config(trained_home)).made


def test_a_damaged_store_is_no_store(trained_home: Home) -> None:
    folder = build_patches(config(trained_home)).folder
    (folder / "images.npy").write_bytes(b"half")
    with pytest.raises(InputError, match=r"damaged .*; remove the folder"):
        PatchStore.load(folder)
    with pytest.raises(MissingError, match="cut them with: monuseg patches"):
        PatchStore.load(Path("nowhere"))


def test_a_store_of_an_earlier_version_is_still_current(trained_home: Home) -> None:
    folder = build_patches(config(trained_home)).folder
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"patch_px"', '"size_px"'))
    assert not build_patches(config(trained_home)).made


@settings(max_examples=100)
@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))
def test_parts_are_numbered_as_scikit_image_does(labels: NDArray[np.int32]) -> None:
    np.testing.assert_array_equal(_number_parts(labels), label(labels))  # type: ignore[no-untyped-call] # it has no types


def test_patches_are_cut_again_if_the_scale_of_an_image_is_corrected(tmp_path: Path) -> None:
    folder, root = tmp_path / "own", tmp_path / "data"
    write_folder(folder, ["a"])
    told = Told()

    def cut(mpp: float) -> int:
        (folder / "split.csv").write_text(f"image,split,mpp\na,train,{mpp}\n")
        scan_folder(folder, root)
        build_masks(MasksConfig(root))
        return build_patches(PatchesConfig(root, patch_px=48, stride_px=48, rescale=True), told).patches

    assert [cut(0.25), cut(0.5), cut(0.25), cut(0.25)] == [4, 16, 4, 4]
    assert len(told.lines) == 2
    assert "were made from other images, masks or scales: they are cut again" in told.lines[0]
