"""From regions drawn in QuPath to a classifier, and to the classes of all nuclei in every output."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import openpyxl
import pyarrow.parquet
import pytest
from PIL import Image
from safetensors.torch import load_file

import monuseg_cli
from conftest import Monuseg, Told
from monuseg_cli.classes.classes_file import read_classes
from monuseg_cli.classification.classify import ClassifyConfig, classify
from monuseg_cli.core.home import Home
from monuseg_cli.models.weights import read_card, save_weights
from monuseg_cli.prediction.config import SlideSettings
from support.browser import opened
from support.classes import COLOURS, MPP, classified, draw_two_kinds, regions, write_features, write_two_kinds
from support.rows import read_rows

CLASSES = {"Long", "Round"}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return write_two_kinds(tmp_path_factory.mktemp("kinds"))


@pytest.fixture(scope="module")
def trained(kinds: tuple[Path, Path, Path]) -> Path:
    image, labels, annotations = kinds
    path = image.with_name("kinds.classes")
    settings = SlideSettings(MPP)
    classify(ClassifyConfig((image,), (annotations,), path, Path("unused"), Path("unused"), (labels,), settings))
    return path


def test_a_classifier_is_trained_and_described(
    kinds: tuple[Path, Path, Path], tmp_path: Path, monuseg: Monuseg
) -> None:
    image, labels, annotations = kinds
    words = ("classify", image, "--nuclei", labels, "--annotations", annotations, "--mpp", MPP)
    done = monuseg(*words, "-o", tmp_path / "a.classes")
    assert done.exit_code == 0, done.stderr
    assert f"Written: {tmp_path}/a.classes" in done.stdout
    assert "in regions that were held out (4 folds)" in done.stdout
    card = read_classes(tmp_path / "a.classes").card
    assert card.names == ("Long", "Round")
    assert card.colours == {name: tuple(COLOURS[name]) for name in card.names}
    assert [one.regions for one in card.classes] == [4, 4]
    assert card.validation.accuracy.value > 0.95
    assert card.found_by is None
    assert card.mpp == (MPP,)
    told = json.loads(monuseg(*words, "-o", tmp_path / "b.classes", "--json").stdout)
    assert told["card"]["validation"]["folds"] == 4
    assert (tmp_path / "a.classes").read_bytes() == (tmp_path / "b.classes").read_bytes()


def test_nuclei_with_classes_of_their_own_train_the_same(
    kinds: tuple[Path, Path, Path], tmp_path: Path, monuseg: Monuseg
) -> None:
    image, labels, _ = kinds
    _, outlines, names = draw_two_kinds()
    nuclei = [classified(outline, name, "detection") for outline, name in zip(outlines, names, strict=True)]
    path = write_features(tmp_path / "nuclei.geojson", nuclei)
    done = monuseg(
        "classify", image, "--nuclei", labels, "--annotations", path, "-o", tmp_path / "a.classes", "--mpp", MPP
    )
    # squares of 250 um: the picture is 200 um wide, so that all nuclei are in one
    assert done.exit_code == 3
    assert "its nuclei are in 1 region, and cross-validation over regions needs 2" in done.stderr
    frames = [{**part, "properties": {"objectType": "annotation"}} for part in regions()]
    write_features(path, [*nuclei, *frames])
    done = monuseg(
        "classify", image, "--nuclei", labels, "--annotations", path, "-o", tmp_path / "a.classes", "--mpp", MPP
    )
    assert done.exit_code == 0, done.stderr
    assert read_classes(tmp_path / "a.classes").card.validation.accuracy.value > 0.95


def test_every_output_has_the_classes(
    trained: Path, kinds: tuple[Path, Path, Path], trained_home: Home, tmp_path: Path, monuseg: Monuseg
) -> None:
    image, labels, _ = kinds
    names = ("n.csv", "n.geojson", "n.parquet")
    outputs = [word for name in names for word in ("-o", tmp_path / name)]
    measured = monuseg(
        "measure", image, "--nuclei", labels, *outputs, "--classes", trained, "--mpp", MPP, "--home", trained_home.root
    )
    assert measured.exit_code == 0, measured.stderr
    assert "slide.png: Long" in measured.stdout
    rows = read_rows(tmp_path / "n.csv")
    right = [row["class"] == ("Round" if float(row["col_px"]) < 400 else "Long") for row in rows]
    assert sum(right) / len(right) > 0.97
    assert all(0.5 <= float(row["class_probability"]) <= 1 for row in rows)
    features = json.loads((tmp_path / "n.geojson").read_text())["features"]
    assert [one["properties"]["classification"]["name"] for one in features] == [row["class"] for row in rows]
    for one in features:
        known = one["properties"]
        assert known["objectType"] == "detection"
        assert known["classification"]["color"] == COLOURS[known["classification"]["name"]]
        assert "Class probability" in known["measurements"]
    table = pyarrow.parquet.read_table(tmp_path / "n.parquet")
    assert table["class"].to_pylist() == [row["class"] for row in rows]
    about = json.loads(pyarrow.parquet.read_metadata(tmp_path / "n.parquet").metadata[b"monuseg"])
    assert about["classes"]["colours"] == {name: COLOURS[name] for name in ("Long", "Round")}


def test_predicted_nuclei_have_classes_and_further_outputs_keep_them(
    trained: Path, kinds: tuple[Path, Path, Path], trained_home: Home, tmp_path: Path, monuseg: Monuseg
) -> None:
    common = ("--model", "unet-se", "--engine", "torch", "--mpp", MPP, "--home", trained_home.root)
    words = ("predict", kinds[0], *common, "--classes", trained)
    first = monuseg(*words, "-o", tmp_path / "n.csv", "-o", tmp_path / "n.parquet", "-o", tmp_path / "n.xlsx")
    assert first.exit_code == 0, first.stderr
    rows = read_rows(tmp_path / "n.csv")
    assert rows
    assert {row["class"] for row in rows} <= CLASSES
    sheet = openpyxl.load_workbook(tmp_path / "n.xlsx")["nuclei"]
    heading = [cell.value for cell in sheet[1]]
    assert [row[heading.index("class")] for row in sheet.iter_rows(2, values_only=True)] == [r["class"] for r in rows]
    before = (tmp_path / "n.parquet").read_bytes()
    again = monuseg(*words, "-o", tmp_path / "again.csv", "-o", tmp_path / "a.geojson", "--report", tmp_path / "a.html")
    assert again.exit_code == 0, again.stderr
    assert "without the network" in again.stderr
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "n.csv").read_bytes()
    assert (tmp_path / "n.parquet").read_bytes() == before
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<h2>Classes</h2>" in page
    assert "kinds.classes" in page
    told = json.loads(monuseg(*words, "-o", tmp_path / "n.parquet", "--json", "--overwrite").stdout)
    counts = told["predictions"][0]["classes"]
    assert counts == {name: sum(row["class"] == name for row in rows) for name in ("Long", "Round")}
    summary = {cell.value: cells for cell, *cells in openpyxl.load_workbook(tmp_path / "n.xlsx")["summary"].columns}
    assert {name: summary[f"nuclei_{name}"][0].value for name in ("Long", "Round")} == counts
    done = monuseg(*words, "--summary", tmp_path / "all.csv")
    assert done.exit_code == 0, done.stderr
    (row,) = read_rows(tmp_path / "all.csv")
    assert {name: int(row[f"nuclei_{name}"]) for name in ("Long", "Round")} == counts
    plain = monuseg("predict", kinds[0], *common, "-o", tmp_path / "plain.csv")
    assert "without the network" in plain.stderr
    assert "class" not in read_rows(tmp_path / "plain.csv")[0]


def test_the_overview_counts_the_classes_of_each_slide(
    trained: Path, kinds: tuple[Path, Path, Path], trained_home: Home, tmp_path: Path, monuseg: Monuseg
) -> None:
    Image.open(kinds[0]).crop((0, 0, 200, 400)).save(tmp_path / "part.png")
    common = ("--model", "unet-se", "--engine", "torch", "--mpp", MPP, "--home", trained_home.root, "--json")
    report = tmp_path / "report"
    told = monuseg("predict", kinds[0], tmp_path / "part.png", *common, "--classes", trained, "--report", report)
    assert told.exit_code == 0, told.stderr
    found = {
        Path(one["outputs"]["image"]).name: (one["nuclei"], one["classes"])
        for one in json.loads(told.stdout)["predictions"]
    }
    with opened(report / "index.html") as tab:
        table = tab.locator("section", has_text="Classes").locator("table")
        heading = table.locator("th").all_inner_texts()
        rows = [row.split("\t") for row in table.locator("tbody tr").all_inner_texts()]
        colours = table.locator("rect").evaluate_all("all => all.map((one) => one.getAttribute('fill'))")
    assert [text.strip() for text in heading] == ["slide", "Long", "Round"]
    assert colours == ["rgb({}, {}, {})".format(*COLOURS[name]) for name in ("Long", "Round")]
    assert rows == [
        [name, *(f"{classes[kind]} ({classes[kind] / nuclei:.1%})" for kind in ("Long", "Round"))]
        for name, (nuclei, classes) in found.items()
    ]
    assert all(nuclei for nuclei, _ in found.values())


def test_classes_are_added_to_nuclei_that_were_kept_without(
    trained: Path, kinds: tuple[Path, Path, Path], trained_home: Home, tmp_path: Path, monuseg: Monuseg
) -> None:
    words = ("predict", kinds[0], "--model", "unet-se", "--engine", "torch", "--mpp", MPP, "--home", trained_home.root)
    assert monuseg(*words, "-o", tmp_path / "n.parquet").exit_code == 0
    done = monuseg(*words, "-o", tmp_path / "n.parquet", "-o", tmp_path / "n.csv", "--classes", trained)
    assert "without the network" in done.stderr
    classes = [row["class"] for row in read_rows(tmp_path / "n.csv")]
    assert pyarrow.parquet.read_table(tmp_path / "n.parquet")["class"].to_pylist() == classes


def test_nuclei_are_kept_by_a_prediction_or_predicted_in_and_around_the_regions(
    kinds: tuple[Path, Path, Path], trained_home: Home, tmp_path: Path, monuseg: Monuseg
) -> None:
    """Both give the same examples, since the neighbourhood of every annotated nucleus is predicted, too."""
    image, labels, annotations = kinds
    common = ("--model", "unet-se", "--engine", "torch", "--mpp", MPP, "--home", trained_home.root)
    words = ("classify", image, "--annotations", annotations, *common)
    found = monuseg(*words, "-o", tmp_path / "new" / "a.classes")
    assert found.exit_code == 0, found.stderr
    kept = tmp_path / "kept"
    assert monuseg("predict", image, "-o", kept / "nuclei.parquet", *common).exit_code == 0
    again = monuseg(*words, "-o", kept / "a.classes")
    assert f"nuclei of {kept}/nuclei.parquet" in again.stderr
    named = monuseg(*words, "--nuclei", kept / "nuclei.parquet", "-o", tmp_path / "b.classes")
    assert named.exit_code == 0, named.stderr
    first, second, third = (
        read_classes(path).card for path in (tmp_path / "new/a.classes", kept / "a.classes", tmp_path / "b.classes")
    )
    assert first.found_by == second.found_by == third.found_by is not None
    assert first.classes == second.classes == third.classes
    assert second == third
    measuring = ("measure", image, "--nuclei", labels, "--mpp", MPP, "-o", tmp_path / "m.csv")
    warned = monuseg(*measuring, "--classes", kept / "a.classes")
    assert warned.exit_code == 0
    assert "was trained on nuclei of the model unet-se" in warned.stderr
    told = Told()
    monuseg_cli.measure(image, labels, MPP, classes=kept / "a.classes", progress=told)
    assert any("was trained on nuclei of the model unet-se" in line for line in told.lines)


def test_features_of_the_network_are_learned_from_kept_nuclei_and_measured_where_they_are_needed(
    kinds: tuple[Path, Path, Path], trained_home: Home, tmp_path: Path, monuseg: Monuseg
) -> None:
    image, labels, annotations = kinds
    common = ("--model", "unet-se", "--engine", "torch", "--mpp", MPP, "--home", trained_home.root)
    network = ("--measurements", "network")
    learning = ("classify", image, "--annotations", annotations, *common, *network)
    kept = tmp_path / "kept"
    assert monuseg("predict", image, "-o", kept / "n.parquet", *common, *network).exit_code == 0
    done = monuseg(*learning, "-o", tmp_path / "elsewhere" / "a.classes")
    assert done.exit_code == 0, done.stderr
    assert "nuclei of" not in done.stderr
    done = monuseg(*learning, "-o", kept / "b.classes")
    assert done.exit_code == 0, done.stderr
    assert f"nuclei of {kept}/n.parquet" in done.stderr
    assert "Without the network's features: balanced accuracy " in done.stdout
    predicted, card = (read_classes(path).card for path in (tmp_path / "elsewhere" / "a.classes", kept / "b.classes"))
    assert predicted.classes == card.classes
    assert card.measurements == ("network",)
    assert card.found_by is not None
    assert {"network_1", "network_64, mean within 50 um"} <= set(card.features)
    assert card.validation.without_network is not None
    # Kept nuclei have the features; others are predicted with them, and get the same classes.
    classify = ("predict", image, *common, "--classes", kept / "b.classes")
    remade = monuseg(*classify, "-o", kept / "n.csv")
    assert "without the network" in remade.stderr
    assert monuseg(*classify, "-o", tmp_path / "new" / "n.csv").exit_code == 0
    assert (tmp_path / "new" / "n.csv").read_bytes() == (kept / "n.csv").read_bytes()
    assert {row["class"] for row in read_rows(kept / "n.csv")} == CLASSES
    # Nuclei of another model, or of none, have other features, or none.
    refused = monuseg("predict", image, "--mpp", MPP, "--classes", kept / "b.classes", "-o", kept / "m.csv")
    assert refused.exit_code == 3
    assert "b.classes uses features of the model unet-se (SHA-256 " in refused.stderr
    for words in (("measure", "--classes", kept / "b.classes"), ("measure", *network)):
        refused = monuseg(words[0], image, *words[1:], "--nuclei", labels, "--mpp", MPP, "-o", kept / "m.csv")
        assert refused.exit_code == 3
        assert "features of a network, which nuclei of other tools do not have" in refused.stderr
    refused = monuseg(*learning, "--nuclei", labels, "-o", kept / "m.classes")
    assert "features of a network, which nuclei of other tools do not have; leave it out" in refused.stderr
    assert monuseg("predict", image, "-o", tmp_path / "plain.parquet", *common).exit_code == 0
    refused = monuseg(*learning, "--nuclei", tmp_path / "plain.parquet", "-o", kept / "m.classes")
    assert "plain.parquet lacks what a classifier needs ('network_1')" in refused.stderr
    assert not list(kept.glob("m.*"))


def test_features_of_several_networks_are_not_mixed(
    kinds: tuple[Path, Path, Path], trained_home: Home, tmp_path: Path, monuseg: Monuseg
) -> None:
    weights = trained_home.find_weights("unet-se")
    again = replace(read_card(weights), attribution="another training")
    save_weights(tmp_path / "other.safetensors", load_file(weights), again)
    shutil.copy(kinds[0], tmp_path / "copy.png")
    slides = {kinds[0]: weights, tmp_path / "copy.png": tmp_path / "other.safetensors"}
    learning = ["classify", *slides, "-o", tmp_path / "a.classes"]
    for slide, model in slides.items():
        nuclei = tmp_path / slide.stem / "n.parquet"
        words = ("predict", slide, "--model", model, "--engine", "torch", "--mpp", MPP, "--measurements", "network")
        assert monuseg(*words, "-o", nuclei, "--home", trained_home.root).exit_code == 0
        annotations = shutil.copy(kinds[2], tmp_path / f"{slide.stem}.geojson")
        learning += ["--nuclei", nuclei, "--annotations", annotations]
    done = monuseg(*learning)
    assert done.exit_code == 0, done.stderr  # their measurements have the same meaning
    done = monuseg(*learning, "--measurements", "network", "-o", tmp_path / "b.classes")
    assert done.exit_code == 3
    assert "the nuclei are of several models, whose features cannot be mixed; find all of them with one" in done.stderr


def test_python_returns_the_classes(trained: Path, kinds: tuple[Path, Path, Path], trained_home: Home) -> None:
    image, labels, _ = kinds
    table = monuseg_cli.measure(image, labels, MPP, classes=trained)
    assert set(table["class"]) == CLASSES
    assert next(iter(table))["class"] in CLASSES
    model = monuseg_cli.load("unet-se", engine="torch", home=trained_home.root)
    assert set(model.predict(image, MPP, classes=trained).nuclei["class"]) <= CLASSES


REFUSED = {
    "no annotations for a slide": (
        ("{image}", "{other}", "--annotations", "{annotations}"),
        "2 slides and 1 files of --annotations: give one for each slide, in the same order",
    ),
    "a folder of slides": (
        ("{empty}", "--annotations", "{annotations}"),
        "empty is a folder; name the slides in it that are annotated",
    ),
    "a slide twice": (
        ("{image}", "{image}", "--annotations", "{annotations}", "--annotations", "{annotations}"),
        "slide.png is named twice; name each slide once, with all of its annotations in one file",
    ),
    "annotations twice": (
        ("{image}", "{other}", "--annotations", "{annotations}", "--annotations", "{annotations}"),
        "classes.geojson would be used for several slides; give a file of --annotations for each, in the same order",
    ),
    "no annotation in the folder": (
        ("{image}", "--annotations", "{empty}"),
        "no slide.geojson in {empty}; export the annotations of slide.png to it",
    ),
    "another suffix": (
        ("{image}", "--annotations", "{annotations}", "-o", "{empty}/a.pkl"),
        "a file of classes needs a name that ends in .classes",
    ),
    "no slide": (("none.svs", "--annotations", "{annotations}"), "no file none.svs; check its name"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(
    kinds: tuple[Path, Path, Path], tmp_path: Path, monuseg: Monuseg, kind: str
) -> None:
    words, message = REFUSED[kind]
    (tmp_path / "empty").mkdir()
    places = {"image": kinds[0], "other": kinds[1], "annotations": kinds[2], "empty": tmp_path / "empty"}
    given = [word.format(**places) for word in words]
    given += [] if "-o" in given else ["-o", str(tmp_path / "a.classes")]
    done = monuseg("classify", *given)
    assert done.exit_code in (3, 4)
    assert message.format(**places) in done.stderr
    assert not (tmp_path / "a.classes").exists()


def test_classes_need_a_table_or_a_report(
    trained: Path, kinds: tuple[Path, Path, Path], tmp_path: Path, monuseg: Monuseg
) -> None:
    done = monuseg("predict", kinds[0], "-o", tmp_path / "m.png", "--classes", trained)
    assert "--classes are a column of tables, and no output is a .csv" in done.stderr
    assert done.exit_code == 3
