"""Selection of the cases to evaluate on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from monuseg_cli.core.errors import ContaminationError, InputError, MissingError
from monuseg_cli.core.home import resolve_links
from monuseg_cli.dataset.catalog import OTHER_DATASETS, KumarSplit, kumar_split, validation_fold
from monuseg_cli.dataset.leakage import find_trained, ids_suffice, with_pixel_hashes
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.models.card import Card

EvaluationSplit = Literal["val", "test", "train", "all"]


@dataclass(frozen=True, slots=True)
class CaseChoice:
    """A selection of cases, of MoNuSeg or of own data.

    At most one of `split`, `fold`, `kumar` and `cases` is given. Without any, the models' own validation cases are
    selected, or all cases of own data that no model was trained or validated on.

    Parameters
    ----------
    split : {"val", "test", "train", "all"}, optional
        The models' own validation cases, the test cases, the models' training cases, or all cases of own data.
    fold : int, optional
        The validation cases of a fold, 1 to 5.
    kumar : {"train", "same-organ", "other-organ"}, optional
        A part of the split of Kumar et al. 2017.
    cases : tuple of str
        Case ids, or unambiguous parts of them.
    data : Path, optional
        Folder of own data; None: MoNuSeg.
    """

    split: EvaluationSplit | None = None
    fold: int | None = None
    kumar: KumarSplit | None = None
    cases: tuple[str, ...] = ()
    data: Path | None = None

    def __post_init__(self) -> None:
        """Check that at most one selection is given, and that it applies to the data.

        Raises
        ------
        InputError
            If there are several, or one does not apply to these data.
        """
        if sum(map(bool, (self.split, self.fold is not None, self.kumar, self.cases))) > 1:
            message = "`split`, `fold`, `kumar` and `cases` exclude each other; give only one"
            raise InputError(message)
        if self.data and (self.fold is not None or self.kumar):
            message = "`fold` and `kumar` apply to MoNuSeg only; with `data` use `split` or `cases`"
            raise InputError(message)
        if self.split == "all" and not self.data:
            message = "`split=all` needs `data`; for MoNuSeg's test cases, use `split=test`"
            raise InputError(message)

    @property
    def name(self) -> str:
        """A name for tables."""
        if self.data:
            part = "cases" if self.cases else self.split
            name = _whole(self.data).name
            return f"{name}-{part}" if part else name
        if self.fold is not None:
            return f"fold-{self.fold}"
        if self.kumar:
            return f"kumar-{self.kumar}"
        return "cases" if self.cases else self.split or "val"

    def folder_name(self, case_ids: Sequence[str]) -> str:
        """Return a name for the folder of results that is unique to the selected cases.

        Parameters
        ----------
        case_ids : sequence of str
            The selected cases. The name ends with a hash of these and of the path of own data, unless the selection
            always consists of the same cases.
        """
        is_own = self.data is not None and str(self.data) not in OTHER_DATASETS
        is_fixed = not self.cases and (self.data is None or self.split in ("test", "all"))
        if is_fixed and not is_own:
            return self.name
        place = str(_whole(self.data)) if self.data and is_own else ""
        digest = hashlib.sha256("\n".join([place, *sorted(case_ids)]).encode()).hexdigest()
        return f"{self.name}-{digest[:8]}"


def _whole(folder: Path) -> Path:
    return resolve_links(folder.expanduser())


def choose_cases(
    dataset: Dataset, choice: CaseChoice, cards: Mapping[Path, Card], include_train: bool
) -> tuple[Case, ...]:
    """List the cases that all models are scored on, in order of case id.

    Parameters
    ----------
    dataset : Dataset
        The data set to select from.
    choice : CaseChoice
        The selection.
    cards : mapping of Path to Card
        Cards of the models, by weights file.
    include_train : bool
        Allow cases that a model was trained on.

    Raises
    ------
    MissingError
        If a case does not exist.
    InputError
        If no case remains, the models' own cases differ, or part of a case id is ambiguous.
    ContaminationError
        If a model was trained on one of them, by its id or by its pixels, unless `include_train`.
    """
    cases = _select(dataset, choice, cards)
    if not all(ids_suffice(cases, card) for card in cards.values()):
        cases = with_pixel_hashes(dataset, cases)
    for weights, card in cards.items():
        seen = sorted(find_trained(dataset, cases, card))
        if seen and not include_train:
            message = (
                f"{weights} was trained on {len(seen)} of these {len(cases)} cases (the first: {seen[0]}), so its "
                "scores would be too high; `include_train=True` scores these cases anyway, and marks them"
            )
            raise ContaminationError(message)
    return cases


def _select(dataset: Dataset, choice: CaseChoice, cards: Mapping[Path, Card]) -> tuple[Case, ...]:
    """Select the chosen cases, or by default the models' own."""
    if choice.cases:
        return dataset.select([_find_case(dataset, part) for part in choice.cases])
    if choice.fold is not None:
        return dataset.select(validation_fold(choice.fold))
    if choice.kumar:
        return dataset.select(kumar_split(choice.kumar))
    if choice.split == "test":
        return dataset.of_split("test")
    if choice.split == "all" or (choice.data and choice.split is None and _are_new(dataset, cards)):
        return dataset.cases
    return dataset.select(_own_cases(dataset, choice, cards))


def _own_cases(dataset: Dataset, choice: CaseChoice, cards: Mapping[Path, Card]) -> tuple[str, ...]:
    """List the ids of the models' training or validation cases, which must be the same for all models."""
    own = {weights: card.train_cases if choice.split == "train" else card.val_cases for weights, card in cards.items()}
    if choice.data:  # ignore cases outside this folder, and models without a case in it
        present = {case.case_id for case in dataset.cases}
        inside = {weights: tuple(case for case in cases if case in present) for weights, cases in own.items()}
        own = {weights: cases for weights, cases in inside.items() if cases}
    if not any(own.values()):
        message = f"{', '.join(map(str, cards))}: no {choice.name} cases"
        raise InputError(message)
    (first, selected), *others = own.items()
    for weights, cases in others:
        if set(cases) != set(selected):
            message = (
                f"{weights} and {first} have different {choice.name} cases; select common ones with `split=test`, "
                "`fold`, `kumar` or `cases`"
            )
            raise InputError(message)
    return selected


def _are_new(dataset: Dataset, cards: Mapping[Path, Card]) -> bool:
    """Whether no model was trained or validated on any of these cases."""
    known = {case_id for card in cards.values() for case_id in (*card.train_cases, *card.val_cases)}
    return not any(case.case_id in known for case in dataset.cases)


def _find_case(dataset: Dataset, part: str) -> str:
    case_ids = [case.case_id for case in dataset.cases]
    found = [case_id for case_id in case_ids if part in case_id]
    if part in case_ids or len(found) == 1:
        return part if part in case_ids else found[0]
    if not found:
        message = f"no case {part!r} in {dataset.root}"
        raise MissingError(message)
    message = f"{part!r} is part of {len(found)} case ids: {', '.join(found[:3])}{' ...' if len(found) > 3 else ''}"
    raise InputError(message)
