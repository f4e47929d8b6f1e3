"""Values of DICOM tags as numbers in plausible ranges, words of fixed lists and days: nothing else is given out.

Headers hold text where a number should be, and worse. Whatever cannot be understood counts as missing.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.tag import BaseTag, Tag

from rarelesion.vocabulary import known

Sources = Sequence[Dataset]
"""Where a value is looked for, in this order: the macros of a frame, the shared ones, the file itself."""


def value(sources: Sources, tag: str | BaseTag) -> Any:
    """The first value of the tag that is there and not empty; None otherwise, or where it cannot be read."""
    number = _number(tag) if isinstance(tag, str) else tag
    for source in sources:
        try:
            found = source[number].value if number in source else None
        except Exception:  # of whatever kind: a damaged value is a missing one
            continue
        if found is not None and found != "" and found != []:
            return found
    return None


@cache
def _number(keyword: str) -> BaseTag:
    """The keyword's tag; looking it up in pydicom's dictionary anew each time is a third of the reading of a header."""
    number = tag_for_keyword(keyword)
    if number is None:
        raise ValueError(f"no DICOM keyword {keyword}")
    return Tag(number)


def numbers(sources: Sources, tag: str | BaseTag, low: float, high: float) -> tuple[float, ...]:
    """All values of the tag as numbers; none at all where one of them is no number between low and high."""
    found = value(sources, tag)
    try:
        several = [float(item) for item in _several(found)]
    except (TypeError, ValueError, OverflowError):
        return ()
    return tuple(several) if all(math.isfinite(item) and low <= item <= high for item in several) else ()


def number(sources: Sources, tag: str | BaseTag, low: float, high: float) -> float | None:
    """The first value of the tag as a number, None outside low to high."""
    found = numbers(sources, tag, low, high)
    return found[0] if found else None


def whole(sources: Sources, tag: str | BaseTag, low: int, high: int) -> int | None:
    """The first value of the tag as a whole number, None outside low to high."""
    found = number(sources, tag, low, high)
    return None if found is None else int(found)


def words(sources: Sources, tag: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    """Those values of the tag that are in the vocabulary (in capitals)."""
    return known((str(item) for item in _several(value(sources, tag))), vocabulary)


def text(sources: Sources, tag: str) -> str:
    """The value as text, to be hashed or searched for known words by the caller: never to be given out."""
    found = value(sources, tag)
    return "" if found is None else "\\".join(str(item) for item in _several(found)).strip()


def day(sources: Sources, tag: str) -> date | None:
    """The value of a date or a date and time as a day, to be shifted by the caller."""
    digits = text(sources, tag).replace(".", "").replace("-", "")[:8]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if digits.isascii() else None
    except ValueError:
        return None


def seconds(sources: Sources, tag: str) -> float | None:
    """The value of a time, or of the time of a date and time, as seconds after midnight."""
    found = text(sources, tag).replace(":", "")
    found = found[8:] if tag.endswith("DateTime") else found
    try:
        hours, minutes = int(found[:2]), int(found[2:4] or 0)
        rest = float(found[4:].partition("+")[0].partition("-")[0] or 0)
    except ValueError:
        return None
    total = hours * 3600 + minutes * 60 + rest
    return total if 0 <= total <= 86_400 else None


def _several(found: Any) -> Iterable[Any]:
    if found is None:
        return ()
    return found if isinstance(found, Sequence) and not isinstance(found, str | bytes) else (found,)
