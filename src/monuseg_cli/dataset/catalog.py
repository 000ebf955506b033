"""Facts about MoNuSeg 2018: cases with organ, split and fold, and the sources of its archives.

Sources: Kumar et al., IEEE TMI 36(7), 2017 (the 30 train images and their organs); Kumar et al., IEEE TMI 39(5),
2020 (the challenge, its 14 test images); the challenge page, monuseg.grand-challenge.org/Data (the archives).
The archives are licensed CC BY-NC-SA 4.0.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from monuseg_cli.core.errors import InputError

Split = Literal["train", "test"]
KumarSplit = Literal["train", "same-organ", "other-organ"]
SPLITS: tuple[Split, ...] = ("train", "test")

LICENCE = "CC BY-NC-SA 4.0"
ATTRIBUTION = "MoNuSeg 2018, Kumar et al., IEEE TMI 36(7), 2017 and 39(5), 2020"
DOIS = ("10.1109/TMI.2017.2677499", "10.1109/TMI.2019.2947628")
"""DOIs of the two publications on MoNuSeg."""

UNKNOWN_ORGAN = "unknown"
FOLDS = (1, 2, 3, 4, 5)
MPP = 0.25
"""Micrometres per pixel at 40x. The images of MoNuSeg state 0.2456 to 0.2527, and the three at 20x 0.5005."""


@dataclass(frozen=True, slots=True)
class OtherDataset:
    """A public data set that can be used for training in addition to MoNuSeg.

    Parameters
    ----------
    name : str
        Its name in commands and recipes.
    licence, attribution : str
        Licence and attribution of its images and annotations, and so of weights trained on them.
    doi : str
        DOI of the publication.
    mpp : float
        Assumed micrometres per pixel of its images.
    held_out_organs : tuple of str
        Organs that are never trained on; they measure how well a model generalises.
    """

    name: str
    licence: str
    attribution: str
    doi: str
    mpp: float
    held_out_organs: tuple[str, ...]


NUINSSEG = OtherDataset(
    name="nuinsseg",
    licence="CC BY 4.0 (as third parties list it)",
    attribution="NuInsSeg, Mahbod et al., Scientific Data 11, 2024",
    doi="10.5281/zenodo.10518968",
    mpp=0.19,  # not published; a model for 0.25 um/px finds most nuclei at 0.17 to 0.21
    held_out_organs=("bladder", "oesophagus", "spleen", "tongue"),
)

OTHER_DATASETS: MappingProxyType[str, OtherDataset] = MappingProxyType({NUINSSEG.name: NUINSSEG})
"""Public data sets other than MoNuSeg, by name."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One of the two official archives: its name, its Google Drive id and its published SHA-256."""

    name: str
    drive_id: str
    sha256: str


ARCHIVES: MappingProxyType[Split, Archive] = MappingProxyType(
    {
        # The hashes are those in the source of the package torch_em, which downloads the same archives.
        "train": Archive(
            "MoNuSeg 2018 Training Data.zip",
            "1ZgqFJomqQGNnsx7w7QBzQQMVA16lbVCA",
            "25d3d3185bb2970b397cafa72eb664c9b4d24294aee382e7e3df9885affce742",
        ),
        "test": Archive(
            "MoNuSegTestData.zip",
            "1NKkSQ5T0ZNQ8aUhh0a8Dt2YKYCQXIViw",
            "13e522387ae8b1bcc0530e13ff9c7b4d91ec74959ef6f6e57747368d7ee6f88a",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """What is known about a case before its files are read.

    Parameters
    ----------
    case_id : str
        The full TCGA barcode, which is also the stem of its files.
    organ : str
        The organ as stated by the challenge; ``"unknown"`` for the 7 bonus cases.
    split : {"train", "test"}
        The archive that contains the case.
    fold : int or None
        The cross-validation fold in which the case is validated, 1 to 5. None for test and bonus cases: test cases
        are for the final score, and bonus cases are only trained on.
    """

    case_id: str
    organ: str
    split: Split
    fold: int | None


# Each case with its fold, by organ. Folds are assigned in turn down this list (1 2 3 4 5 1 2 ...). So each fold has
# six cases, all four large organs, and at most one of the three 20x cases (HE-71xx).
_CHALLENGE_TRAIN = """
breast   A7-A13E-01Z-00-DX1 1   A7-A13F-01Z-00-DX1 2   AR-A1AK-01Z-00-DX1 3   AR-A1AS-01Z-00-DX1 4
breast   E2-A1B5-01Z-00-DX1 5   E2-A14V-01Z-00-DX1 1
kidney   B0-5711-01Z-00-DX1 2   HE-7128-01Z-00-DX1 3   HE-7129-01Z-00-DX1 4   HE-7130-01Z-00-DX1 5
kidney   B0-5710-01Z-00-DX1 1   B0-5698-01Z-00-DX1 2
liver    18-5592-01Z-00-DX1 3   38-6178-01Z-00-DX1 4   49-4488-01Z-00-DX1 5   50-5931-01Z-00-DX1 1
liver    21-5784-01Z-00-DX1 2   21-5786-01Z-00-DX1 3
prostate G9-6336-01Z-00-DX1 4   G9-6348-01Z-00-DX1 5   G9-6356-01Z-00-DX1 1   G9-6363-01Z-00-DX1 2
prostate CH-5767-01Z-00-DX1 3   G9-6362-01Z-00-DX1 4
bladder  DK-A2I6-01A-01-TS1 5   G2-A2EK-01A-02-TSB 1
colon    AY-A8YK-01A-01-TS1 2   NH-A8F7-01A-01-TS1 3
stomach  KB-A93J-01A-01-TS1 4   RD-A8N9-01A-01-TS1 5
"""

_BONUS_TRAIN = """
UZ-A9PN-01Z-00-DX1 UZ-A9PJ-01Z-00-DX1 F9-A8NY-01Z-00-DX1 MH-A561-01Z-00-DX1 XS-A8TJ-01Z-00-DX1 FG-A87N-01Z-00-DX1
BC-A217-01Z-00-DX1
"""

_TEST = """
breast   AC-A2FO-01A-01-TS1 AO-A0J2-01A-01-BSA
kidney   2Z-A9J9-01A-01-TS1 GL-6846-01A-01-BS1 IZ-8196-01A-01-BS1
prostate EJ-A46H-01A-03-TSC HC-7209-01A-01-TS1
bladder  CU-A0YN-01A-02-BSB ZF-A9R5-01A-01-TS1
colon    A6-6782-01A-01-BS1
lung     44-2665-01B-06-BS6 69-7764-01A-01-TS1
brain    FG-A4MU-01B-01-TS1 HT-8564-01Z-00-DX1
"""


# The first 16 digits of a SHA-256 of height, width and RGB; see `monuseg_cli.dataset.leakage.hash_pixels`.
_PIXELS = """
A7-A13E-01Z-00-DX1 c99b62802fd86198   A7-A13F-01Z-00-DX1 93e2e9f97d8ef5d1
AR-A1AK-01Z-00-DX1 31cf8f2c61517dea   AR-A1AS-01Z-00-DX1 1b8fd32b98be68c6
E2-A1B5-01Z-00-DX1 75f811aebe805fc1   E2-A14V-01Z-00-DX1 4f302dd184d86ee9
B0-5711-01Z-00-DX1 0f74ae4c392e1f21   HE-7128-01Z-00-DX1 d8a5957df7768d96
HE-7129-01Z-00-DX1 9d1d1aec7a701d46   HE-7130-01Z-00-DX1 85859bba1525e24b
B0-5710-01Z-00-DX1 449dfd191b427654   B0-5698-01Z-00-DX1 5bdadd9e3b25972c
18-5592-01Z-00-DX1 b616452832affdb1   38-6178-01Z-00-DX1 0105387f9614e6e3
49-4488-01Z-00-DX1 95b2f58c020810a3   50-5931-01Z-00-DX1 f303ddd2b91c7695
21-5784-01Z-00-DX1 5f36ea5c3980ee89   21-5786-01Z-00-DX1 35ad05dd647ba6b4
G9-6336-01Z-00-DX1 e806804609bffa29   G9-6348-01Z-00-DX1 b1a7cee250464bc2
G9-6356-01Z-00-DX1 70f04202b3b4ab6b   G9-6363-01Z-00-DX1 4994c6fb5f005c2e
CH-5767-01Z-00-DX1 dba679eaf3243ff7   G9-6362-01Z-00-DX1 d8d4517edf9d2479
DK-A2I6-01A-01-TS1 da3a9d371fce784c   G2-A2EK-01A-02-TSB f3c946baf76a4681
AY-A8YK-01A-01-TS1 8055802d1ff82743   NH-A8F7-01A-01-TS1 7c42fb4be4cdfcf9
KB-A93J-01A-01-TS1 ea207eab90337a4f   RD-A8N9-01A-01-TS1 47c9994790b98ee7
UZ-A9PN-01Z-00-DX1 a19a551606a68568   UZ-A9PJ-01Z-00-DX1 4c4c0a1e6accf7ff
F9-A8NY-01Z-00-DX1 1b683aa3899adb21   MH-A561-01Z-00-DX1 430c82ace1f88274
XS-A8TJ-01Z-00-DX1 1d9579790c289fec   FG-A87N-01Z-00-DX1 1e4dcf7dac7708fd
BC-A217-01Z-00-DX1 d45159f678a212c4   AC-A2FO-01A-01-TS1 eb2c08da345defb2
AO-A0J2-01A-01-BSA 2df6b764ffcc962e   2Z-A9J9-01A-01-TS1 5e3ae5cd31c02bd7
GL-6846-01A-01-BS1 61b4d724ea347e89   IZ-8196-01A-01-BS1 c1c56cf82e9057a9
EJ-A46H-01A-03-TSC db4b4de85511c422   HC-7209-01A-01-TS1 913e4debd6ce5aa5
CU-A0YN-01A-02-BSB e67688001711d7dd   ZF-A9R5-01A-01-TS1 e10148671aa57066
A6-6782-01A-01-BS1 8a34e5eb9bd49602   44-2665-01B-06-BS6 d3e52a75f5f6ae66
69-7764-01A-01-TS1 f1e136a290317096   FG-A4MU-01B-01-TS1 683c690e2bc8b66d
HT-8564-01Z-00-DX1 13c8a91da6f83a73
"""


def _read_tables() -> dict[str, CatalogEntry]:
    entries = []
    for line in _CHALLENGE_TRAIN.split("\n"):
        organ, *pairs = line.split() or [""]
        for barcode, fold in zip(pairs[::2], pairs[1::2], strict=True):
            entries.append(CatalogEntry(f"TCGA-{barcode}", organ, "train", int(fold)))
    entries += [CatalogEntry(f"TCGA-{barcode}", UNKNOWN_ORGAN, "train", None) for barcode in _BONUS_TRAIN.split()]
    for line in _TEST.split("\n"):
        organ, *barcodes = line.split() or [""]
        entries += [CatalogEntry(f"TCGA-{barcode}", organ, "test", None) for barcode in barcodes]
    return {entry.case_id: entry for entry in entries}


CATALOG: MappingProxyType[str, CatalogEntry] = MappingProxyType(_read_tables())
"""Every case of MoNuSeg 2018 by its id: 30 train cases of the challenge, 7 bonus train cases, 14 test cases."""


PIXELS: MappingProxyType[str, str] = MappingProxyType(
    {f"TCGA-{barcode}": digits for barcode, digits in zip(*[iter(_PIXELS.split())] * 2, strict=True)}
)
"""Hash of the pixels of each case, by id; it identifies an image whatever the name of its file."""


def train_set(size: int) -> tuple[str, ...]:
    """List the ids of the train set of 30 cases (the challenge's) or of 37 (with the 7 bonus cases).

    Raises
    ------
    InputError
        If `size` is neither 30 nor 37.
    """
    if size not in (30, 37):
        message = f"there is no train set of {size} cases; `train_set` takes 30 or 37"
        raise InputError(message)
    train = [entry for entry in CATALOG.values() if entry.split == "train"]
    return tuple(entry.case_id for entry in train if size == 37 or entry.fold is not None)


def validation_fold(fold: int) -> tuple[str, ...]:
    """List the ids of the six validation cases of a fold.

    Raises
    ------
    InputError
        If `fold` is not 1 to 5.
    """
    if fold not in FOLDS:
        message = f"there is no fold {fold}; `fold` takes {FOLDS[0]} to {FOLDS[-1]}"
        raise InputError(message)
    return tuple(entry.case_id for entry in CATALOG.values() if entry.fold == fold)


# Kumar et al. 2017, table II: two cases of each organ with six cases are the same-organ test set.
_KUMAR_SAME_ORGAN = (
    "TCGA-E2-A1B5",
    "TCGA-E2-A14V",
    "TCGA-B0-5698",
    "TCGA-B0-5710",
    "TCGA-21-5784",
    "TCGA-21-5786",
    "TCGA-CH-5767",
    "TCGA-G9-6362",
)
_KUMAR_OTHER_ORGANS = ("bladder", "colon", "stomach")


def kumar_split(name: KumarSplit) -> tuple[str, ...]:
    """List the ids of a part of the split of Kumar et al. 2017, which divides the 30 train cases.

    It has 16 cases for training, 8 test cases of the same organs, and 6 of other organs.
    """
    parts: dict[str, list[str]] = {"train": [], "same-organ": [], "other-organ": []}
    for case_id in train_set(30):
        if CATALOG[case_id].organ in _KUMAR_OTHER_ORGANS:
            parts["other-organ"].append(case_id)
        else:
            parts["same-organ" if case_id.startswith(_KUMAR_SAME_ORGAN) else "train"].append(case_id)
    return tuple(parts[name])
