"""Histograms of measurements as files."""

import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from PIL import Image
from pypdf import PdfReader

from conftest import Monuseg
from monuseg_cli.core.home import Home
from support.tissue import draw_tissue

AXES = ("area, µm²", "eccentricity (0: circle, near 1: line)", "mean optical density of haematoxylin")


def texts_of(picture: Path) -> list[str]:
    return ["".join(text.itertext()) for text in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_histograms_are_written_as_svg_and_pdf_with_axes_and_medians(
    monuseg: Monuseg, trained_home: Home, tmp_path: Path
) -> None:
    Image.fromarray(draw_tissue(128, seed=2)[0]).save(tmp_path / "a.png")
    words = ("predict", tmp_path / "a.png", "--model", "unet-se", "--engine", "torch", "--home", trained_home.root)
    outputs = [word for name in ("h.svg", "h.pdf", "n.csv", "n.parquet") for word in ("-o", tmp_path / name)]
    done = monuseg(*words, *outputs)
    assert done.exit_code == 0, done.stderr
    with (tmp_path / "n.csv").open() as file:
        areas = [float(row["area_um2"]) for row in csv.DictReader(file)]
    assert areas
    texts = texts_of(tmp_path / "h.svg")
    (page,) = PdfReader(tmp_path / "h.pdf").pages
    (title,) = (text for text in texts if text.startswith("Area: "))
    assert title.startswith(f"Area: median {np.median(areas):.3g}, middle half ")
    for name in (*AXES, title):
        assert texts.count(name) == 1
        assert page.extract_text().count(name) == 1
    assert texts.count("nuclei") == 3

    kept = monuseg(*words, "-o", tmp_path / "again.svg")
    assert kept.exit_code == 0, kept.stderr
    assert "made from" in kept.stderr
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "h.svg").read_bytes()


def test_an_image_without_nuclei_has_empty_histograms(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (240, 240, 240)).save(tmp_path / "glass.png")
    words = ("predict", tmp_path / "glass.png", "--model", "unet-se", "--engine", "torch", "--home", trained_home.root)
    done = monuseg(*words, "-o", tmp_path / "h.svg")
    assert done.exit_code == 0, done.stderr
    assert "Area: no nuclei" in texts_of(tmp_path / "h.svg")
