import doctest

import numpy as np
import pytest

from rarelesion import imrmc
from rarelesion.errors import InputError
from rarelesion.imrmc import imrmc_text

LABELS = [0, 1, 0, 1]
SCORES = np.array([[[1, 5, 2, 4], [2, 4, 2, 3]], [[1, 5, 1, 4.5], [3, 4, 2, 5]]], dtype=float)


def read_as_imrmc_does(text):
    """The rules of iMRMC's InputFile.java: counts from the header, rows of four, white space taken out."""
    lines = text.split("\n")
    start = next(number for number, line in enumerate(lines) if line.upper().startswith("BEGIN DATA:"))
    counts = {line[:2]: int(line[3:]) for line in lines[:start] if line[:3] in ("N0:", "N1:", "NR:", "NM:")}
    rows = [["".join(cell.split()) for cell in line.split(",")] for line in lines[start + 1 :] if line]
    truth = {case: int(score) for reader, case, _, score in rows if reader in ("truth", "-1")}
    found = {(r, c, m): float(score) for r, c, m, score in rows if r not in ("truth", "-1")}
    return counts, truth, found


def test_round_trip():
    counts, truth, found = read_as_imrmc_does(imrmc_text(LABELS, SCORES, ["unaided", "aided"], ["A", "B"]))
    assert counts == {"NR": 2, "N0": 2, "N1": 2, "NM": 2}
    assert truth == {"1": 0, "2": 1, "3": 0, "4": 1}
    assert len(found) == 16
    assert found["A", "4", "aided"] == 4.5
    assert found["B", "1", "unaided"] == 2


def test_cases_are_numbers_unless_ids_are_asked_for():
    assert "truth,1,truth,0" in imrmc_text(LABELS, SCORES)
    text = imrmc_text(LABELS, SCORES, cases=["c-7", "c-3", "c-1", "c-9"])
    assert "truth,c-7,truth,0" in text
    assert "reader2,c-9,modality2,5.0" in text


def test_scores_keep_all_their_digits():
    scores = SCORES + 1e-13
    _, _, found = read_as_imrmc_does(imrmc_text(LABELS, scores))
    assert found["reader1", "1", "modality1"] == scores[0, 0, 0]


def test_cases_that_were_not_read_are_left_out():
    scores = SCORES.copy()
    scores[1, 0, 2] = np.nan
    text = imrmc_text(LABELS, scores)
    assert "reader1,3,modality2" not in text
    assert len(read_as_imrmc_does(text)[2]) == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 0, 0, 0]}, "only one class"),
        ({"labels": [0, 1, 2, 1]}, "neither benign nor malignant"),
        ({"scores": SCORES[0]}, "not a table"),
        ({"scores": np.where(SCORES == 5, np.inf, SCORES)}, "a score is infinite"),
        ({"scores": np.where(np.arange(2)[:, None, None] == 0, np.nan, SCORES)}, "nothing was read; found modality1"),
        ({"modalities": ["a"]}, "1 names, 1 different ones; expected 2"),
        ({"modalities": ["a", "a"]}, "2 names, 1 different ones"),
        ({"readers": ["A, B", "C"]}, "'A, B'"),
        ({"readers": ["truth", "C"]}, "'truth'"),
        ({"cases": ["", "b", "c", "d"]}, "case names: iMRMC can't read it"),
        ({"title": "X"}, "title: iMRMC can't read it"),
        ({"title": "two\nlines"}, "title: iMRMC can't read it"),
        ({"title": "n0: none"}, "title: iMRMC can't read it"),
    ],
)
def test_what_imrmc_cannot_read_is_refused(change, message):
    with pytest.raises(InputError, match=message.replace("'", ".")):
        imrmc_text(**({"labels": LABELS, "scores": SCORES} | change))


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as caught:
        imrmc_text(LABELS, SCORES, modalities=["a b", "c"], readers=["A"], title="")
    assert [problem.where for problem in caught.value.problems] == ["modality names", "reader names", "title"]


def test_examples_run():
    assert doctest.testmod(imrmc).failed == 0
