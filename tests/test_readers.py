from pathlib import Path

import pytest

from rarelesion.errors import InputError
from rarelesion.readers import reader_scores
from rarelesion.types import Case, Cohort, Rating, Split

COHORT = Cohort(Path("c.csv"), tuple(Case(f"c{i}", f"p{i}", i % 2, {}, {}) for i in range(6)), ())
SPLIT = Split(0, 0, ("c0", "c1"), ("c2", "c3"), ("c4", "c5"))


def test_a_reader_is_scored_on_the_tuning_and_test_cases_that_were_rated():
    ratings = [Rating(f"c{i}", "anna", float(i)) for i in (0, 1, 2, 4, 5)]
    (scores,) = reader_scores(ratings, COHORT, [SPLIT])
    assert scores.recipe == "reader:anna"
    assert scores.case_id.tolist() == ["c2", "c4", "c5"]
    assert scores.part.tolist() == ["tune", "test", "test"]
    assert scores.score.tolist() == [2.0, 4.0, 5.0]
    assert scores.label.tolist() == [0, 0, 1]


def test_readers_keep_their_order():
    ratings = [Rating(f"c{i}", reader, 1.0) for reader in ("zoe", "anna") for i in range(6)]
    assert [scores.recipe for scores in reader_scores(ratings, COHORT, [SPLIT])] == ["reader:zoe", "reader:anna"]


def test_a_reader_without_malignant_test_cases_is_an_error():
    with pytest.raises(InputError, match="'anna': rated no malignant test case"):
        reader_scores([Rating("c4", "anna", 1.0)], COHORT, [SPLIT])
