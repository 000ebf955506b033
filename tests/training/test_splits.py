import dataclasses
import shutil
from pathlib import Path
from typing import Any

import imagecodecs
import pytest
import tifffile

from conftest import QUICK, RECIPE, Monuseg, Told
from monuseg_cli.core.errors import ContaminationError, InputError
from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import SILENT
from monuseg_cli.dataset.nuinsseg import read_nuinsseg
from monuseg_cli.models.weights import read_card
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.splits import find_splits
from support.nuinsseg import write_published
from support.own import feature, region, write_folder, write_geojson

OWN = ("--epochs", "1", "--patch-px", "64", "--stride-px", "32", "--crop-px", "48", "--crops-per-case", "4")


def recipe(train: Path, val: Path | None = None, **overrides: Any) -> Recipe:
    return dataclasses.replace(RECIPE, train=str(train), val=str(val or ""), **overrides)


def stems(cases: tuple[str, ...]) -> list[str]:
    return [case_id.split("-")[0] for case_id in cases]


def test_folders_divide_own_data(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a", "b"])
    write_folder(tmp_path / "theirs", ["a", "c"], first_seed=600)
    shares = find_splits(Home(tmp_path), recipe(tmp_path / "mine", tmp_path / "theirs"), SILENT)
    assert (stems(shares.train.cases), stems(shares.val.cases)) == (["a", "b"], ["a", "c"])
    assert not set(shares.train.cases) & set(shares.val.cases)  # other images of the same name
    assert len(shares.val.indices) == len(shares.val.store.case_ids) > 0


def test_a_table_divides_own_data_and_keeps_the_test_cases_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a", "b", "c"])
    (tmp_path / "mine" / "split.csv").write_text("image,split\na,test\nb,train\nc,val\n")
    shares = find_splits(Home(tmp_path), recipe(tmp_path / "mine"), SILENT)
    assert (stems(shares.train.cases), stems(shares.val.cases)) == (["b"], ["c"])


def test_folds_divide_the_rest(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a", "b", "c", "d", "e", "f"])
    found = {fold: find_splits(Home(tmp_path), recipe(tmp_path / "mine", fold=fold), SILENT) for fold in (1, 2)}
    assert (stems(found[1].val.cases), stems(found[2].val.cases)) == (["a", "f"], ["b"])
    assert stems(found[1].train.cases) == ["b", "c", "d", "e"]


def test_regions_of_an_image_stay_together_unless_it_is_the_only_one(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for stem, polygons in write_folder(folder, ["a", "b"], size=160).items():
        regions = [region("", row, 0, 70, 70) for row in (0, 80)]
        write_geojson(folder / "annotations" / f"{stem}.geojson", [*map(feature, polygons), *regions])
    shares = find_splits(Home(tmp_path), recipe(folder), SILENT)
    assert (stems(shares.train.cases), stems(shares.val.cases)) == (["b", "b"], ["a", "a"])
    for path in folder.rglob("b.*"):
        path.unlink()
    told = Told()
    shares = find_splits(Home(tmp_path), recipe(folder), told)
    assert (len(shares.train.cases), len(shares.val.cases)) == (1, 1)
    assert "all regions are of one image, a.png: validation scores will be too high" in told.lines


def test_the_same_image_cannot_be_trained_and_validated_on(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a", "b"])
    shutil.copytree(tmp_path / "mine", tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("a.*"):
        path.rename(path.with_stem("another"))
    with pytest.raises(ContaminationError, match=r"2 images of .*copy are also in .*mine"):
        find_splits(Home(tmp_path), recipe(tmp_path / "mine", tmp_path / "copy"), SILENT)


def resave(path: Path, stem: str) -> None:
    """Save an image's pixels in another file format, under another name."""
    tifffile.imwrite(path.with_name(f"{stem}.tif"), imagecodecs.png_decode(path.read_bytes()), compression="lzw")
    path.unlink()


def test_the_same_pixels_in_another_file_cannot_be_trained_and_validated_on(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a", "b"])
    shutil.copytree(tmp_path / "mine", tmp_path / "copy")
    for stem in ("a", "b"):
        resave(tmp_path / "copy" / "images" / f"{stem}.png", f"{stem}2")
        (tmp_path / "copy" / "annotations" / f"{stem}.geojson").rename(
            tmp_path / "copy" / "annotations" / f"{stem}2.geojson"
        )
    with pytest.raises(ContaminationError, match=r"2 images of .*copy are also in .*mine \(the first: a2.tif"):
        find_splits(Home(tmp_path), recipe(tmp_path / "mine", tmp_path / "copy"), SILENT)
    with pytest.raises(ContaminationError, match=r"2 images of .*copy are also in other data"):
        find_splits(Home(tmp_path), recipe(tmp_path / "mine", extra_data=(str(tmp_path / "copy"),)), SILENT)


def test_the_same_pixels_cannot_be_in_two_folds(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a", "b", "c"])
    shutil.copy(tmp_path / "mine" / "images" / "a.png", tmp_path / "mine" / "images" / "c.png")
    resave(tmp_path / "mine" / "images" / "c.png", "c")
    with pytest.raises(
        ContaminationError, match=r"1 validation cases share pixels .*a.png with c.tif.*; leave one of them out"
    ):
        find_splits(Home(tmp_path), recipe(tmp_path / "mine", fold=1), SILENT)
    shares = find_splits(Home(tmp_path), recipe(tmp_path / "mine", fold=2), SILENT)
    assert stems(shares.val.cases) == ["b"]


def test_training_images_are_recognised_by_their_pixels(monuseg: Monuseg, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    write_folder(mine, ["a", "b"])
    write_folder(theirs, ["a", "c"], first_seed=600)
    home = Home(tmp_path / "home")
    trained = monuseg("train", "--train", mine, *OWN, "--name", "first", "--home", home.root)
    assert trained.exit_code == 0, trained.stderr
    card = read_card(home.find_weights("first"))
    assert stems(card.train_cases) == ["b"]
    assert len(card.train_pixels) == 1
    shutil.copy(mine / "images" / "b.png", theirs / "images" / "a.png")
    resave(theirs / "images" / "a.png", "a")
    scored = monuseg("evaluate", "first", "--data", theirs, "--home", home.root)
    assert scored.exit_code == 8, scored.stderr
    assert "was trained on 1 of these 2 cases" in scored.stderr
    marked = monuseg("evaluate", "first", "--data", theirs, "--include-train", "--home", home.root)
    assert marked.exit_code == 0, marked.stderr
    assert "* the model was trained on this case" in marked.stdout
    write_folder(tmp_path / "new", ["d"], first_seed=700)
    tuned = monuseg("train", "--train", tmp_path / "new", "--val", theirs, "--init", "first", *OWN, "--home", home.root)
    assert tuned.exit_code == 8, tuned.stderr
    assert "was trained on 1 of the validation cases" in tuned.stderr


def test_one_image_is_too_little(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a"])
    with pytest.raises(InputError, match="1 annotated images or regions, and `fold=1` leaves nothing to train on"):
        find_splits(Home(tmp_path), recipe(tmp_path / "mine"), SILENT)
    with pytest.raises(InputError, match="`val` needs `train`"):
        Recipe(val="somewhere")


def test_more_data_are_trained_on_and_what_is_held_out_is_not(trained_home: Home, tmp_path: Path) -> None:
    read_nuinsseg(write_published(tmp_path / "published"), trained_home.other_dataset("nuinsseg"))
    write_folder(tmp_path / "mine", ["a", "b"])
    mixed = dataclasses.replace(RECIPE, extra_data=("nuinsseg:0.5", str(tmp_path / "mine")))
    shares = find_splits(trained_home, mixed, SILENT)
    assert [(subset.name, len(subset.cases), subset.weight) for subset in shares.trained] == [
        ("monuseg", 24, 1.0),
        ("nuinsseg", 6, 0.5),
        ("mine", 2, 1.0),
    ]
    assert not any("tongue" in case_id for subset in shares.trained for case_id in subset.cases)
    assert len(shares.more[0].indices) == 6 * 4  # of 73 px at 0.25 um/px, in patches of 64


def test_the_same_image_cannot_be_in_more_data(trained_home: Home, tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a", "b", "c"])
    shutil.copytree(tmp_path / "mine", tmp_path / "copy")
    mixed = dataclasses.replace(recipe(tmp_path / "mine"), extra_data=(str(tmp_path / "copy"),))
    with pytest.raises(ContaminationError, match=r"3 images of .*copy are also in other data"):
        find_splits(trained_home, mixed, SILENT)


def test_a_public_data_set_is_divided_by_organ(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    read_nuinsseg(write_published(tmp_path / "published"), home.other_dataset("nuinsseg"))
    shares = find_splits(home, dataclasses.replace(RECIPE, train="nuinsseg", fold=2), SILENT)
    assert shares.val.cases == ("human_liver_01", "human_liver_02")
    assert {case_id.split("_")[1] for case_id in shares.train.cases} == {"brain", "muscle"}


def test_the_card_tells_of_all_data_sets(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    home = trained_home.root
    read_nuinsseg(write_published(tmp_path / "published"), trained_home.other_dataset("nuinsseg"))
    words = ("--extra-data", "nuinsseg:0.5", "--stain-min", "0.3", *QUICK, "--name", "mixed", "--home", home)
    trained = monuseg("train", *words)
    assert trained.exit_code == 0, trained.stderr
    card = read_card(trained_home.find_weights("mixed"))
    assert card.licence == "CC BY-NC-SA 4.0"
    assert (card.recipe["extra_data"], card.recipe["stain_min"]) == (["nuinsseg:0.5"], 0.3)
    assert "Kumar" in card.attribution
    assert "Mahbod" in card.attribution
    assert {name: part.cases for name, part in card.data_sets.items()} == {"monuseg": 24, "nuinsseg": 6}
    assert card.data_sets["nuinsseg"].licence.startswith("CC BY 4.0")
    assert "human_brain_01" in card.train_cases
    seen = monuseg("evaluate", "mixed", "--data", "nuinsseg", "--split", "train", "--home", home)
    assert "was trained on 6 of these 6 cases" in seen.stderr
    resumed = monuseg("train", "--resume", "mixed", "--home", home)
    assert resumed.exit_code == 0, resumed.stderr


def test_own_data_from_masks_to_a_tuned_model_and_its_scores(
    monuseg: Monuseg, trained_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, home = tmp_path / "my slides, é", trained_home.root
    write_folder(mine, ["a", "b", "c", "d", "e", "f"], [".geojson", ".xml", ".png"])
    monkeypatch.chdir(tmp_path)
    masks = monuseg("masks", "--data", mine.name, "--preview", "--home", home)
    assert masks.exit_code == 0, masks.stderr
    assert f"monuseg train --train '{mine.name}' --init default" in masks.stdout
    patches = monuseg("patches", "--data", mine.name, "--patch-px", 64, "--stride-px", 32, "--home", home)
    assert patches.exit_code == 0, patches.stderr
    words = ("--train", mine.name, "--init", "unet-se", "--recipe", "fine-tune", *OWN, "--name", "mine", "--home", home)
    trained = monuseg("train", *words)
    assert trained.exit_code == 0, trained.stderr
    assert f"monuseg evaluate mine --data '{mine.name}'" in trained.stdout
    first, card = read_card(trained_home.find_weights("unet-se")), read_card(trained_home.find_weights("mine"))
    assert (card.architecture, dict(card.options)) == (first.architecture, {**first.options, "dropout": 0.0})
    assert stems(card.val_cases) == ["a", "f"]
    assert set(first.train_cases) < set(card.train_cases)  # what it was begun with has seen them
    assert (card.licence, card.recipe["train"]) == (first.licence, mine.name)
    monkeypatch.chdir("/")
    scored = monuseg("evaluate", "mine", "--data", mine, "--home", home)
    assert scored.exit_code == 0, scored.stderr
    assert "mean over 2 images" in scored.stdout
    compared = monuseg("evaluate", "unet-se", "mine", "--data", mine, "--split", "val", "--home", home)
    assert compared.exit_code == 0, compared.stderr  # unet-se knows none of these cases, and has no say in them
    everything = monuseg("evaluate", "unet-se", "--data", mine, "--home", home)
    assert "mean over 6 images" in everything.stdout
    seen = monuseg("evaluate", "mine", "--data", mine, "--split", "all", "--home", home)
    assert seen.exit_code == 8
    assert "was trained on 4 of these 6 cases" in seen.stderr
    resumed = monuseg("train", "--resume", "mine", "--home", home)
    assert resumed.exit_code == 0, resumed.stderr


def test_a_model_of_own_data_alone_has_their_licence(monuseg: Monuseg, tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", ["a", "b"])
    home = Home(tmp_path / "home")
    trained = monuseg("train", "--train", tmp_path / "mine", *OWN, "--home", home.root)
    assert trained.exit_code == 0, trained.stderr
    card = read_card(home.find_weights("unet-se"))
    assert card.licence == "that of own data (mine)"
    assert not any(case_id.startswith("TCGA") for case_id in card.train_cases)


def test_choices_that_mean_nothing_for_own_data(monuseg: Monuseg, tmp_path: Path) -> None:
    assert "--fold and --kumar apply to MoNuSeg only" in monuseg("evaluate", "--data", tmp_path, "--fold", 1).stderr
    assert "--split all needs --data" in monuseg("evaluate", "--split", "all").stderr
