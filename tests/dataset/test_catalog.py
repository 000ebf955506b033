from collections import Counter
from itertools import cycle

import pytest

from monuseg_cli.core.errors import InputError
from monuseg_cli.dataset.catalog import CATALOG, FOLDS, train_set, validation_fold


def test_the_catalogue_has_the_numbers_of_cases_of_the_challenge() -> None:
    assert len(CATALOG) == 51
    assert len(train_set(30)) == 30
    assert len(train_set(37)) == 37
    assert set(train_set(30)) < set(train_set(37))
    organs = Counter(CATALOG[case_id].organ for case_id in train_set(30))
    assert organs == {
        "breast": 6,
        "kidney": 6,
        "liver": 6,
        "prostate": 6,
        "bladder": 2,
        "colon": 2,
        "stomach": 2,
    }
    assert sum(entry.split == "test" for entry in CATALOG.values()) == 14


def test_folds_divide_the_30_cases_and_spread_the_organs() -> None:
    folds = [validation_fold(fold) for fold in FOLDS]
    assert sorted(case_id for fold in folds for case_id in fold) == sorted(train_set(30))
    for fold in folds:
        assert len(fold) == 6
        organs = Counter(CATALOG[case_id].organ for case_id in fold)
        assert {"breast", "kidney", "liver", "prostate"} <= organs.keys()
        assert sum("-HE-" in case_id for case_id in fold) <= 1


def test_the_folds_as_listed_are_those_dealt_down_the_list() -> None:
    dealt = zip(train_set(30), cycle(FOLDS), strict=False)
    assert all(CATALOG[case_id].fold == fold for case_id, fold in dealt)


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="`train_set` takes 30 or 37"):
        train_set(31)
    with pytest.raises(InputError, match="`fold` takes 1 to 5"):
        validation_fold(0)
