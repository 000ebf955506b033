"""Suggestions for misspelt words."""

from collections.abc import Iterable

_ALIKE = 0.7  # at difflib's own 0.6, --home would match --help


def suggest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice most similar to `word`, None if none is similar."""
    from difflib import get_close_matches

    by_small_letters = {choice.lower(): choice for choice in choices}
    found = get_close_matches(word.lower(), by_small_letters, n=1, cutoff=_ALIKE)
    return by_small_letters[found[0]] if found else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return the end of an error's line: ``"; did you mean train?"``, or nothing if no choice is similar to `word`."""
    found = suggest(word, choices)
    return f"; did you mean {found}?" if found else ""
