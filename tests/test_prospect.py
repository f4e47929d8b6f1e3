"""What a study can show is foretold from counts alone, and told in words."""

import json

import pytest
from typer.testing import CliRunner

from rarelesion.cli import app
from rarelesion.cohort import read_cohort
from rarelesion.errors import InputError
from rarelesion.foretelling import prospect_json, prospect_text
from rarelesion.prospect import count_cohort, counts_of, look_ahead
from rarelesion.settings import Settings, SplitSettings
from rarelesion.sizing import cases_for_auc_width, share_width
from rarelesion.widths import simulated_width


def settings(folds=5):
    return Settings(split=SplitSettings(folds=folds))


def test_the_figures_are_those_of_the_functions_behind_it():
    found = look_ahead(counts_of(20, 60, folds=5), 0.85, settings())
    assert found.roc_auc == simulated_width(20, 60, 0.85, folds=5, draws=200)
    assert found.sensitivity == share_width(20, 0.85)
    assert found.narrow == cases_for_auc_width(0.1, 0.85, prevalence=0.25)
    assert found.beat_reader is not None
    assert found.beat_reader.total > 100


def test_one_split_tests_a_fifth_and_says_that_folds_would_help():
    found = look_ahead(counts_of(55, 190, folds=1), 0.8, settings(1))
    assert (found.counts.tested_malignant, found.counts.tested_benign) == (11, 38)
    text = prospect_text(found)
    assert "In one split 11 malignant and 38 benign cases are tested." in text
    assert "five folds instead of one split" in text
    assert "such a study decides nothing" in text


def test_a_cohort_is_counted_by_patients_and_by_what_its_folds_test(picture_cohort):
    cohort = read_cohort(picture_cohort, Settings().cohort)
    labels = [case.label for case in cohort.cases]
    all_tested, some = (count_cohort(cohort, settings(folds)) for folds in (5, 1))
    assert (all_tested.malignant, all_tested.benign) == (sum(labels), len(labels) - sum(labels))
    assert (all_tested.tested_malignant, all_tested.tested_benign) == (all_tested.malignant, all_tested.benign)
    assert some.tested_benign < some.benign
    assert all_tested.patients == len({case.patient_id for case in cohort.cases})
    assert (all_tested.folds, some.folds) == (5, 1)


def test_three_folds_test_three_fifths():
    counts = counts_of(20, 50, folds=3)
    assert (counts.tested_malignant, counts.tested_benign) == (12, 30)
    changes = {change.what: change.before for change in look_ahead(counts, 0.8, settings(3)).changes}
    assert len(set(changes.values())) == 1


def test_at_a_perfect_area_no_reader_can_be_beaten_by_more():
    text = prospect_text(look_ahead(counts_of(30, 30, folds=5), 1.0, settings()))
    assert "than a reader's" not in text
    assert "That is narrow enough to say something." in text


def test_wrong_numbers_are_told_together():
    with pytest.raises(InputError) as told:
        counts_of(0, -3, folds=5)
    assert "--malignant" in str(told.value)
    assert "--benign" in str(told.value)
    for auc in (0.4, 1.1, float("nan")):
        with pytest.raises(InputError, match=r"0\.5 \(chance\) to 1 \(perfect\)"):
            look_ahead(counts_of(10, 10, folds=1), auc, settings(1))


def run(*words):
    return CliRunner().invoke(app, ["plan", *map(str, words)])


def test_the_command_prints_text_and_json(picture_cohort):
    said = run(picture_cohort, "--folds", 2)
    assert said.exit_code == 0
    assert "In 2 folds 6 malignant and 9 benign cases are tested." in said.stdout
    found = json.loads(run("--malignant", 20, "--benign", 60, "--auc", 0.85, "--json").stdout)
    assert found == json.loads(json.dumps(prospect_json(look_ahead(counts_of(20, 60, 5), 0.85, settings()))))


@pytest.mark.parametrize("words", [(), ("--malignant", 5), ("cohort.csv", "--malignant", 5, "--benign", 5)])
def test_cases_come_from_one_place(words):
    said = run(*words)
    assert said.exit_code == 2
    assert "either a cohort, or --malignant and --benign" in said.output


def test_a_rare_class_still_gets_numbers():
    found = look_ahead(counts_of(1, 3, folds=5), 0.7, settings())
    assert 0 < found.roc_auc.mean <= 1
    assert 0 < found.pr_auc.mean <= 1
