import pytest

from monuseg_cli.annotations.object_classes import ObjectMeaning, meaning_of, why_not_roi


@pytest.mark.parametrize(
    ("class_name", "object_type", "kind"),
    [
        ("", "", "outline"),
        ("", "annotation", "outline"),
        ("Tumor", "annotation", "outline"),
        ("Nucleus", "annotation", "nucleus"),
        ("Tumor: Nuclear", "annotation", "nucleus"),
        ("Immune cells", "annotation", "outline"),
        ("", "detection", "nucleus"),
        ("Tumor: Positive", "cell", "nucleus"),
        ("Necrosis", "detection", "nucleus"),
        ("Region*", "annotation", "region"),
        ("region", "", "region"),
        ("REGION", "annotation", "region"),
    ],
)
def test_types_and_classes_of_nuclei_and_regions_are_recognised(class_name: str, object_type: str, kind: str) -> None:
    assert meaning_of(class_name, object_type).kind == kind


@pytest.mark.parametrize(
    ("class_name", "object_type", "reason"),
    [
        ("", "tile", "tiles"),
        ("Tumor", "tma_core", "TMA cores"),
        ("", "root", "root objects"),
        ("Ignore*", "annotation", "class Ignore*"),
        ("Ignore", "annotation", "class Ignore"),
        ("Ignore*", "detection", "class Ignore*"),
        ("Region*", "detection", "class Region*"),
        ("Other*", "annotation", "class Other*"),
        ("Tumor: Ignore*", "annotation", "class Tumor: Ignore*"),
        ("Tissue", "annotation", "class Tissue"),
        ("whole tissue", "", "class whole tissue"),
        ("Background", "detection", "class Background"),
        ("Necrosis", "annotation", "class Necrosis"),
        ("Artefact", "annotation", "class Artefact"),
        ("Nucleolus", "annotation", "class Nucleolus"),
        ("Nucleoli", "detection", "class Nucleoli"),
        ("Non-nuclear", "annotation", "class Non-nuclear"),
        ("no nucleus", "detection", "class no nucleus"),
        ("Subcellular spot: Channel 1", "detection", "class Subcellular spot: Channel 1"),
    ],
)
def test_objects_that_are_not_nuclei_have_a_reason(class_name: str, object_type: str, reason: str) -> None:
    assert meaning_of(class_name, object_type) == ObjectMeaning("other", reason)


@pytest.mark.parametrize(
    ("class_name", "object_type"),
    [
        ("", ""),
        ("", "annotation"),
        ("Tumor", "annotation"),
        ("Tumor: Positive", "annotation"),
        ("Immune cells", "annotation"),
        ("Necrosis", "annotation"),
        ("Tissue", "annotation"),
        ("ROI 3", ""),
        ("Region*", "annotation"),
        ("Region", ""),
        ("", "tma_core"),
    ],
)
def test_regions_of_interest(class_name: str, object_type: str) -> None:
    assert why_not_roi(class_name, object_type) == ""


@pytest.mark.parametrize(
    ("class_name", "object_type", "reason"),
    [
        ("", "detection", "detections"),
        ("Tumor: Positive", "cell", "cells"),
        ("Region*", "detection", "detections"),
        ("Tumor", "tile", "tiles"),
        ("", "root", "root objects"),
        ("Ignore*", "annotation", "class Ignore*"),
        ("Tumor: Ignore*", "annotation", "class Tumor: Ignore*"),
        ("Other*", "", "class Other*"),
        ("Artifact", "annotation", "class Artifact"),
        ("Background", "annotation", "class Background"),
        ("excluded", "", "class excluded"),
        ("Nucleus", "annotation", "class Nucleus"),
        ("nuclei: Positive", "", "class nuclei: Positive"),
    ],
)
def test_what_is_not_a_region_of_interest_has_a_reason(class_name: str, object_type: str, reason: str) -> None:
    assert why_not_roi(class_name, object_type) == reason
