"""JSON, TOML, CSV and states of every kind that a user can hand over, changed at random.

Each is read as it would be in use. Either it is accepted, and then works, or there is one clear error.
"""

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from monuseg_cli.annotations.read_labels import read_labels_of
from monuseg_cli.annotations.read_rois import read_rois
from monuseg_cli.core.errors import InputError, MonusegError
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.dataset.folder import scan_folder
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import CaseMasks, labels_path, load_case_masks, masks_folder
from monuseg_cli.dataset.nuinsseg import read_nuinsseg
from monuseg_cli.dataset.patches import PatchStore
from monuseg_cli.dataset.prepare import prepare_patches
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card, TrainingData, describe
from monuseg_cli.models.weights import load_model, read_card
from monuseg_cli.nuclei.rois import draw_rois
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.prediction.batch import PredictResult, predict
from monuseg_cli.prediction.config import PredictConfig
from monuseg_cli.training.checkpoint import STATE_FILE, Checkpoint, restore
from monuseg_cli.training.history import HISTORY_FILE, EpochRecord, best_epoch, read_history, write_history
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.recipes import describe as describe_recipe
from support.fuzz import (
    Encode,
    changed,
    changes,
    edited,
    edits,
    encodings,
    fewer,
    folder,
    json_forms,
    one_line_about,
    to_json,
)
from support.made import CARD
from support.nuinsseg import write_packed
from support.ome_zarr import write_ome_zarr
from support.own import feature, region, write_folder
from support.tissue import draw_tissue, ellipse

Changes = list[tuple[tuple[int, ...], str, Any]]
Form = Callable[[str], str]

FULL_CARD = replace(
    CARD,
    options={"width": 8, "depth": 1, "dropout": 0.5},
    train_pixels=("ab",),
    results={"test": {"f1": 0.5}},
    data_sets={"monuseg": TrainingData(2, 1.0, "00", True, "CC", "Kumar")},
    averaged={"a": 0.5, "b": 0.5},
    stain={"haematoxylin": (0.4, 1.2), "eosin": (0.1, 0.2)},
    ranges={"head": (-1.0, 2.0)},
    recipe=Recipe().to_dict(),
)
WEIGHTS = {
    name: tensor.contiguous()
    for name, tensor in registry.create(FULL_CARD.architecture, **FULL_CARD.options).state_dict().items()
}


@fewer(3)
@given(changes, json_forms, encodings)
def test_any_card_is_read_or_one_error(edits_of_card: Changes, form: Form, encode: Encode) -> None:
    text = to_json(changed(json.loads(FULL_CARD.to_json()), edits_of_card), form, encode)
    with folder() as here:
        path = here / "w.safetensors"
        path.write_bytes(save(WEIGHTS, metadata={"monuseg_card": text.decode("utf-8", errors="replace")}))
        try:
            card = read_card(path)
            assert Card.from_json(card.to_json()) == card
            assert describe(card, "w").encode()
            assert asdict(card)
            model, _ = load_model(path)
        except InputError as error:
            one_line_about(error, path)
            return
        with torch.inference_mode():
            assert torch.isfinite(model(torch.zeros(1, 3, 4, 4))).all()


FULL_RECIPE = Recipe(options={"width": 8, "depth": 2, "squeeze_excitation": False}, extra_data=("nuinsseg:0.5",))


def _to_toml(content: Any) -> str:
    """Write what TOML has a form for; the rest as text that is none."""
    try:
        return tomli_w.dumps(content)
    except (TypeError, AttributeError, RecursionError, ValueError):
        return f"a = {content!r}"


@fewer(2)
@given(changes, json_forms, encodings)
def test_any_recipe_is_read_or_one_error(edits_of_recipe: Changes, form: Form, encode: Encode) -> None:
    text = form(_to_toml(changed(FULL_RECIPE.to_dict(), edits_of_recipe)))
    with folder() as here:
        path = here / "recipe.toml"
        path.write_bytes(encode(text.encode("utf-8", errors="replace").decode()))
        try:
            recipe = Recipe.load(path)
        except InputError as error:
            one_line_about(error, path)
            return
        assert describe_recipe(recipe)
        recipe.save(path)
        assert Recipe.load(path) == recipe
        assert registry.count_weights(recipe.arch, recipe.model_options()) > 0


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two images with annotations, its data set, masks and patches."""
    root = tmp_path_factory.mktemp("own")
    write_folder(root / "slides", ["a", "b"], size=48)
    (root / "slides" / "split.csv").write_text("image,split,mpp,organ\na.png,train,0.25,liver\nb.png,val,,\n")
    scan_folder(root / "slides", root / "data")
    prepare_patches(PatchesConfig(root / "data", 16, 16, split="train"))
    return root


@fewer(2)
@given(edits_of_manifest=changes, form=json_forms, encode=encodings)
def test_any_manifest_of_a_data_set_is_read_or_one_error(
    own: Path, edits_of_manifest: Changes, form: Form, encode: Encode
) -> None:
    content = json.loads(Dataset.manifest_path(own / "data").read_text())
    with folder() as here:
        path = Dataset.manifest_path(here)
        path.write_bytes(to_json(changed(content, edits_of_manifest), form, encode))
        try:
            dataset = Dataset.load(here)
        except InputError as error:
            one_line_about(error, path)
            return
        for case in dataset.of_split(*dataset.splits):
            assert labels_path(here, case.case_id).resolve().parent == masks_folder(here).resolve() / "labels"
            assert Path(case.image).is_absolute() or dataset.image_path(case).resolve().is_relative_to(here.resolve())
        dataset.save()
        assert Dataset.load(here) == dataset


@fewer(2)
@given(edits_of_manifest=changes, form=json_forms, encode=encodings)
def test_any_manifest_of_masks_is_read_or_taken_for_none(
    own: Path, edits_of_manifest: Changes, form: Form, encode: Encode
) -> None:
    content = json.loads((masks_folder(own / "data") / "manifest.json").read_text())
    with folder() as here:
        masks_folder(here).mkdir()
        path = masks_folder(here) / "manifest.json"
        path.write_bytes(to_json(changed(content, edits_of_manifest), form, encode))
        masks = load_case_masks(here)
        assert all(isinstance(made, CaseMasks) and made.nuclei >= 0 for made in masks.values())
        assert all(math.isfinite(made.drawn_area_px) for made in masks.values())


@fewer(2)
@given(edits_of_manifest=changes, form=json_forms, encode=encodings, of_images=edits)
def test_any_patch_store_is_read_or_one_error(
    own: Path, edits_of_manifest: Changes, form: Form, encode: Encode, of_images: list[tuple[int, int, bytes]]
) -> None:
    (store,) = (own / "data" / "patches").iterdir()
    content = json.loads((store / "manifest.json").read_text())
    with folder() as here:
        shutil.copy(store / "labels.npy", here)
        header = [(place % 130, removed, new) for place, removed, new in of_images[:1]]
        (here / "images.npy").write_bytes(edited((store / "images.npy").read_bytes(), header))
        if not header:
            content = changed(content, edits_of_manifest)
        (here / "manifest.json").write_bytes(to_json(content, form, encode))
        try:
            patches = PatchStore.load(here)
        except InputError as error:
            one_line_about(error, here)
            return
        for index in range(len(patches.case_ids)):
            image, labels = patches.read(index)
            assert image.shape == (16, 16, 3)
            assert labels.shape == (16, 16)
            assert image.dtype == np.uint8
            assert labels.dtype == np.int32
        assert (patches.origins >= 0).all()


cells = st.sampled_from(["", "a.png", "a", "test", "0.25", "-1", "nan", "1e999", "0x5", "\0", '"', "x" * 200_000])
rows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), cells), max_size=3)


def _to_csv(lines: list[list[str]], replaced: list[tuple[int, int, str]]) -> str:
    table = [list(line) for line in lines]
    for row, column, cell in replaced:
        line = table[row % len(table)]
        if column > len(line):
            line.append(cell)
        else:
            line[column % len(line)] = cell
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return text.getvalue()


@fewer(3)
@given(replaced=rows, encode=encodings, form=json_forms)
def test_any_table_of_own_data_is_read_or_one_error(
    own: Path, replaced: list[tuple[int, int, str]], encode: Encode, form: Form
) -> None:
    lines = [["image", "split", "mpp", "organ"], ["a.png", "train", "0.25", "liver"], ["b.png", "val", "", ""]]
    with folder() as here:
        shutil.copytree(own / "slides", here / "slides")
        path = here / "slides" / "split.csv"
        path.write_bytes(encode(form(_to_csv(lines, replaced))))
        try:
            dataset = scan_folder(here / "slides", here / "data")
        except MonusegError as error:
            one_line_about(error, path)
            return
        assert Dataset.load(here / "data") == dataset
        assert all(case.mpp is None or 0.05 <= case.mpp <= 5 for case in dataset.cases)


RECORDS = [EpochRecord(epoch, 0.01, 2.0, 50.0, 0.1, *[0.5] * 8) for epoch in (1, 2)]


@fewer(2)
@given(rows, encodings, json_forms)
def test_any_history_is_read_or_one_error(replaced: list[tuple[int, int, str]], encode: Encode, form: Form) -> None:
    with folder() as here:
        write_history(here, RECORDS)
        lines = list(csv.reader((here / HISTORY_FILE).read_text().splitlines()))
        (here / HISTORY_FILE).write_bytes(encode(form(_to_csv(lines, replaced))))
        try:
            records = read_history(here)
        except InputError as error:
            one_line_about(error, here / HISTORY_FILE)
            return
        assert [record.epoch for record in records] == list(range(1, len(records) + 1))
        assert all(math.isfinite(value) for record in records for value in asdict(record).values())
        assert not records or best_epoch(records) in records


GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        region("part", 2, 2, 30, 40),
        feature(ellipse(10, 10, 5, 6, vertices=5), name="n", classification={"names": ["a", "b"]}),
        {
            "type": "Feature",
            "id": "PathCellObject",
            "geometry": {
                "type": "GeometryCollection",
                "geometries": [feature(ellipse(20, 20, 5, 6, vertices=5))["geometry"]],
            },
            "properties": {"classification": "Tumor"},
        },
        {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[1, 1], [9, 1], [9, 9], [1, 1]]}},
    ],
}


@fewer(2)
@given(changes, json_forms, encodings)
def test_any_geojson_is_read_or_one_error(edits_of_content: Changes, form: Form, encode: Encode) -> None:
    with folder() as here:
        path = here / "a.geojson"
        path.write_bytes(to_json(changed(GEOJSON, edits_of_content), form, encode))
        for read in (_read_nuclei, _read_regions):
            try:
                read(path)
            except InputError as error:
                one_line_about(error, path)


def _read_nuclei(path: Path) -> None:
    labels = read_labels_of(path, (48, 48), 0.25)
    assert labels.labels.shape == (48, 48)
    assert all("\n" not in kind and kind.encode() for kind in labels.left_out)


def _read_regions(path: Path) -> None:
    rois = read_rois(path)
    assert draw_rois(rois, (48, 48), (0, 0), 1.0).shape == (48, 48)
    assert all(math.isfinite(roi.area_px) and roi.name.encode() for roi in rois)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, the outputs of a prediction on it, and their record."""
    root = tmp_path_factory.mktemp("predicted")
    (root / "w.safetensors").write_bytes(save(WEIGHTS, metadata={"monuseg_card": FULL_CARD.to_json()}))
    Image.fromarray(draw_tissue(32, seed=6)[0]).save(root / "a.png")
    assert not _predict(root).skipped
    assert _predict(root).skipped
    return root


def _predict(root: Path) -> PredictResult:
    outputs = OutputSpec((str(root / "out.tif"),))
    weights, cache = root / "w.safetensors", root / "cache"
    return predict(PredictConfig((root / "a.png",), outputs, weights, cache, engine="torch", device="cpu"))


@fewer(6)
@given(edits_of_record=changes, form=json_forms, encode=encodings)
def test_any_record_is_used_or_the_image_is_predicted_again(
    predicted: Path, edits_of_record: Changes, form: Form, encode: Encode
) -> None:
    with folder() as here:
        shutil.copytree(predicted, here, dirs_exist_ok=True)
        shutil.copystat(predicted / "a.png", here / "a.png")
        path = here / "out.tif.monuseg.json"
        path.write_bytes(to_json(changed(json.loads(path.read_text()), edits_of_record), form, encode))
        result = _predict(here)
        assert not result.failures
        assert len(result.skipped) + len(result.predictions) == 1
        assert _predict(here).skipped


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = draw_tissue(64, seed=3)[0].transpose(2, 0, 1)
    path = tmp_path_factory.mktemp("zarr") / "a.zarr"
    return write_ome_zarr(path, np.ascontiguousarray(pixels), "cyx", zarr_format=2)


documents = st.sampled_from([".zattrs", ".zattrs", ".zgroup", "0/.zarray"])


@fewer(4)
@pytest.mark.filterwarnings("ignore")  # of zarr's, about what it finds; the command line shows none
@given(which=documents, edits_of_it=changes, form=json_forms, encode=encodings)
def test_any_ome_zarr_is_read_or_one_error(
    store: Path, which: str, edits_of_it: Changes, form: Form, encode: Encode
) -> None:
    with folder() as here:
        path = here / "a.zarr"
        shutil.copytree(store, path)
        content = json.loads((path / which).read_text())
        (path / which).write_bytes(to_json(changed(content, edits_of_it), form, encode))
        try:
            with Slide(path) as slide:
                height, width = (min(side, 64) for side in slide.shape)
                pixels = slide.read_region(0, 0, 0, height, width)
        except InputError as error:
            one_line_about(error, path)
        else:
            assert pixels.shape == (height, width, 3)
            assert pixels.dtype == np.uint8


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packed(tmp_path_factory.mktemp("packed"))


@fewer(6)
@given(replaced=rows, encode=encodings, form=json_forms)
def test_any_table_of_nuinsseg_is_read_or_one_error(
    packed: Path, replaced: list[tuple[int, int, str]], encode: Encode, form: Form
) -> None:
    with folder() as here:
        shutil.copytree(packed, here / "packed")
        path = next((here / "packed").rglob("index.csv"))
        lines = list(csv.reader(path.read_text().splitlines()))
        path.write_bytes(encode(form(_to_csv(lines, replaced))))
        try:
            dataset = read_nuinsseg(here / "packed", here / "data")
        except InputError as error:
            one_line_about(error, here / "packed")
        else:
            assert Dataset.load(here / "data") == dataset


STEPS, RATE = 2, 0.01


def _parts() -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.amp.GradScaler]:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1), torch.nn.BatchNorm2d(1))
    return model, torch.optim.AdamW(model.parameters(), RATE), torch.amp.GradScaler("cpu", enabled=False)


def _step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.rand(2, 3, 4, 4)).square().sum().backward()
    optimizer.step()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, optimizer, _ = _parts()
    for _ in range(STEPS):
        _step(model, optimizer)
    run = tmp_path_factory.mktemp("state")
    Checkpoint(1, model.state_dict(), optimizer.state_dict(), {}, {}, 1, "00").save(run)
    return run / STATE_FILE


tensors = st.sampled_from(
    [
        torch.zeros(1),
        torch.full((1,), math.nan),
        -torch.ones(1),
        torch.zeros(0),
        torch.tensor(2.0),
        torch.tensor(2),
        torch.zeros(1, dtype=torch.complex64),
        torch.zeros(1, 3, 1, 1, dtype=torch.float64),
        torch.zeros(1).expand(10**9),
    ]
)


@fewer(2)
@given(edits_of_state=changes, of_bytes=edits, tensor=st.none() | tensors)
def test_any_state_is_restored_or_one_error(
    state: Path, edits_of_state: Changes, of_bytes: list[tuple[int, int, bytes]], tensor: torch.Tensor | None
) -> None:
    content = torch.load(state, weights_only=True)
    if tensor is not None:
        edits_of_state = [(place, "replace", tensor) for place, _, _ in edits_of_state]
    content = changed(content, edits_of_state)
    with folder() as here:
        path = here / STATE_FILE
        torch.save(content, path)
        if of_bytes and tensor is None:
            path.write_bytes(edited(state.read_bytes(), of_bytes))
        model, optimizer, scaler = _parts()
        try:
            restore(Checkpoint.load(here), here, model, optimizer, scaler, None, STEPS, RATE)
        except InputError as error:
            one_line_about(error, path)
            return
        _step(model, optimizer)
        assert all(torch.isfinite(weight).all() for weight in model.state_dict().values())
