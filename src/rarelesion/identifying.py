"""Whether a column of a table may tell who a patient is: by its header, or by what its cells look like."""

import re
import unicodedata
from collections.abc import Sequence

FULL_DATE = re.compile(
    r"^(\d{1,2}[./-]\d{1,2}[./-](19|20)?\d{2}|(19|20)\d{2}[./-]?(0[1-9]|1[0-2])[./-]?[0-3]\d)(\D.*)?$"
)
LONG_NUMBER = re.compile(r"^\d{7,}$")
_WORD = r"[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))"
NAME = re.compile(rf"^{_WORD}+(?:(?:\^+|,\s*|[ _]){_WORD}*\.?)+[\^ _]*$")
HEADER = re.compile(
    r"(^|[_\W])((patient|pat|first|last|sur|family|given|full|middle)?[_ ]?name|vorname|nachname|nom|prenom|apellido|"
    r"dob|born|birth(day|date)?|date[_ ]?of[_ ]?birth|geburts?(datum|tag)?|geboren|address|adresse|street|phone|"
    r"telephone|e?mail|mrn|accession([_ ]?(no|number))?|ssn|nhs([_ ]?(no|number))?|insurance)($|[_\W])",
    re.IGNORECASE,
)
PROSE = re.compile(
    r"(^|[_\W])(comments?|commentaires?|remarks?|remarques?|notes?|free[_ ]?text|bemerkung(en)?|kommentare?|befund|"
    r"physicians?|doctors?|surgeons?|radiologists?|operator|referr\w+|[aä]rzt(in)?|arzt|zuweiser|einsender|m[eé]decin)"
    r"($|[_\W])",
    re.IGNORECASE,
)
"""Headers of columns in which people write whatever they like, or who they are."""
SCRIPTS = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA")
"""Which write names without spaces."""
SHARE = 1 / 3  # of the cells that look like a date or a DICOM name, from which on the column does
MOST_WORDS = 20
"""Different words that a column of groups may have; with more, and hardly any twice, it names people."""
FEWEST_WORDS = 6
"""From so many words on, none of which is there twice, a column has no groups."""


def is_name(text: str) -> bool:
    """Whether a text is written as names are: two words, or letters of a script that writes names without spaces."""
    foreign = any(unicodedata.name(letter, "").startswith(SCRIPTS) for letter in text)
    return foreign or (bool(NAME.match(text)) and any(letter.isupper() for letter in text))


def why_telling(header: str, cells: Sequence[str]) -> str:
    """Why the column looks like one of names, dates or numbers of patients, without repeating a cell; else empty."""
    given = [cell for cell in cells if cell]
    if not given:
        return ""
    if HEADER.search(header):
        return "its header says so"
    enough = max(1, len(given) * SHARE)
    dates = sum(bool(FULL_DATE.match(cell)) for cell in given)
    if dates >= enough:
        return f"{dates} of {len(given)} cells are dates"
    names = sum("^" in cell and is_name(cell) for cell in given)
    return f"{names} of {len(given)} cells are names" if names >= enough else ""


def why_not_to_copy(header: str, cells: Sequence[str]) -> str:
    """As `why_telling`, and stricter, for a column that is to be copied: one date, many words, long numbers."""
    given = [cell for cell in cells if cell]
    dates = sum(bool(FULL_DATE.match(cell)) for cell in given)
    spoken = [cell for cell in given if not re.fullmatch(r"[-+]?\d*[.,]?\d+", cell)]
    words = set(spoken)
    long = sum(bool(LONG_NUMBER.match(cell)) for cell in given)
    if reason := why_telling(header, cells):
        return reason
    if dates:
        return f"{dates} of {len(given)} cells are dates"
    if spoken and PROSE.search(header):
        return "its header says that people write in it what they like"
    alone = len(words) >= FEWEST_WORDS and len(words) == len(spoken)
    if alone or (len(words) > MOST_WORDS and len(words) > 0.5 * len(given)):
        return f"{len(words)} different words in {len(given)} cells"
    return f"{long} of {len(given)} cells are long numbers" if long else ""
