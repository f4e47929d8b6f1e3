"""Budgets: the order of concessions, on a machine made up for it."""

import doctest
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabricated import FabricatedMachine, make_cohort
from rarelesion import budget
from rarelesion.budget import FREE, RESERVE, Budget, duration, parse_budget, plan_within
from rarelesion.config import flat_settings
from rarelesion.errors import InputError
from rarelesion.planning import plan_study
from rarelesion.recipes import PAPER_RECIPES
from rarelesion.settings import Settings, TrainingSettings


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("2h", 7200), (" 1h 5m 3s ", 3903), ("1H", 3600), ("1m90s", 150)],
)
def test_times_are_read(words, seconds):
    assert parse_budget(words) == seconds


@pytest.mark.parametrize("words", ["", "0s", "0h0m", "m", "1.5h", "-5m", "30m1h", "20min", "soon", "5m5m"])
def test_what_is_no_time_is_refused(words):
    with pytest.raises(InputError, match=r"--budget: is no time; found .*; expected a time such as 90s, 20m, 1h30m"):
        parse_budget(words)


@pytest.mark.parametrize("words", ["20", " 1200 "])
def test_a_number_without_a_unit_is_refused(words):
    with pytest.raises(InputError, match="--budget: has no unit"):
        parse_budget(words)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under 1 s"), (59.4, "59 s"), (59.6, "1 min"), (125, "2 min 5 s"), (599.7, "10 min"), (3570, "1 h 0 min"),
        (16800, "4 h 40 min"),
    ],
)  # fmt: skip
def test_durations_are_said_as_exactly_as_they_are_known(seconds, words):
    assert duration(seconds) == words


COHORT = make_cohort(40, 10)
"""30 cases to train in every fold."""
LEARN = {"vgg16": 0.2, "mobilenet": 0.02, "resnet50": 0.1, "cvae": 0.01}
ASKED = replace(Settings(recipes=PAPER_RECIPES), training=TrainingSettings(precision="float32").resolved())
"""Networks a fold: three of each backbone, two of them with as many textures as cases, and the CVAE."""
IMAGES = 3 * 30 + 2 * 30


def seconds(backbones="vgg16 mobilenet resnet50 cvae", side=100, folds=5, epochs=60):
    """What a plan takes on the machine below, counted by hand."""
    a_fold = sum(24 * LEARN["cvae"] if name == "cvae" else IMAGES * LEARN[name] for name in backbones.split())
    return a_fold * folds * epochs * (side / 100) ** 2


def plan_for(budget, named=(), settings=ASKED, cohort=COHORT, machine=None):
    """The plan for so many seconds, the reserve on top; a thousandth more against rounding."""
    whole = Budget(budget * 1.001 / (1 - RESERVE), named)
    return plan_within(whole, settings, cohort, machine or FabricatedMachine(LEARN), 1)


def concessions(plan):
    before, after = flat_settings(ASKED), flat_settings(plan.settings)
    return {key: value for key, value in after.items() if value != before[key] and key != "recipes"}


def backbones(plan):
    return " ".join(dict.fromkeys(recipe.partition("+")[0] for recipe in plan.settings.recipes))


def test_what_fits_is_left_as_it_is():
    plan = plan_for(seconds())
    assert plan.seconds == pytest.approx(seconds())
    assert (plan.settings, plan.changes, plan.reason) == (ASKED, (), "")


ALL = "vgg16 mobilenet resnet50 cvae"
LADDER = [
    (seconds(epochs=59), ALL, {"training.max_epochs": 59, "cvae.max_epochs": 59}),
    (seconds(epochs=30), ALL, {"training.max_epochs": 30, "cvae.max_epochs": 30}),
    (seconds(epochs=29), "mobilenet resnet50 cvae", {}),
    (
        seconds("mobilenet resnet50 cvae", epochs=44),
        "mobilenet resnet50 cvae",
        {"training.max_epochs": 44, "cvae.max_epochs": 44},
    ),
    (seconds("mobilenet resnet50 cvae", epochs=29), "mobilenet cvae", {}),
    (seconds("mobilenet", epochs=30), "mobilenet", {"training.max_epochs": 30}),
    (seconds("mobilenet", epochs=29), "mobilenet", {"images.side_px": 64}),
    (
        seconds("mobilenet", side=64, epochs=29),
        "mobilenet",
        {"images.side_px": 64, "split.folds": 3, "training.max_epochs": 48},
    ),
    (
        seconds("mobilenet", side=64, folds=3, epochs=29),
        "mobilenet",
        {"images.side_px": 64, "split.folds": 1},
    ),
    (
        seconds("mobilenet", side=64, folds=1, epochs=29),
        "mobilenet",
        {"images.side_px": 64, "split.folds": 1, "training.max_epochs": 29},
    ),
    (
        seconds("mobilenet", side=64, folds=1, epochs=10),
        "mobilenet",
        {"images.side_px": 64, "split.folds": 1, "training.max_epochs": 10},
    ),
]


@pytest.mark.parametrize(("budget", "kept", "expected"), LADDER)
def test_concessions_come_in_the_order_of_the_docs(budget, kept, expected):
    plan = plan_for(budget)
    assert backbones(plan) == kept
    found = concessions(plan)
    if "cvae" not in kept:
        found.pop("cvae.max_epochs", None)
    assert found == expected
    assert plan.seconds <= budget * 1.001
    assert set(plan.settings.recipes) == {
        recipe for recipe in PAPER_RECIPES if recipe.partition("+")[0] in kept.split()
    }


@given(budget=st.floats(20, 30_000), named=st.sets(st.sampled_from(FREE)))
def test_a_plan_fits_and_leaves_alone_what_was_named(budget, named):
    try:
        plan = plan_for(budget, named)
    except InputError:
        return
    assert plan.seconds <= budget * 1.001
    before, after = flat_settings(ASKED), flat_settings(plan.settings)
    assert {key for key in before if before[key] != after[key]} <= set(FREE) - named
    assert (plan.settings.training.max_epochs or 0) >= 10


def test_every_change_is_told_with_its_reason():
    plan = plan_for(seconds("mobilenet", side=64, folds=3, epochs=31))
    assert plan.reason.startswith(f"As asked it would take up to {duration(seconds())}; 10% of the ")
    vgg16, resnet50, cvae = (duration(seconds(name)) for name in ("vgg16", "resnet50", "cvae"))
    assert plan.changes == (
        f"all recipes of vgg16 are left out: they alone would take up to {vgg16}",
        f"all recipes of resnet50 are left out: they alone would take up to {resnet50}",
        f"all recipes of cvae are left out: they alone would take up to {cvae}",
        "images.side_px is 64, not 100: finer detail is not seen",
        "split.folds is 3, not 5: 60% as many test cases, wider intervals",
        "training.max_epochs is 31, not 60: a network that still learns then is cut short",
    )


def test_the_teaching_of_a_backbone_goes_with_it():
    machine = FabricatedMachine(LEARN, taught=500.0)
    budget = seconds("mobilenet resnet50 cvae", epochs=30) + 2 * 500
    assert plan_study(ASKED, COHORT, machine, 1).seconds == pytest.approx(seconds() + 1500)
    assert backbones(plan_for(budget, machine=machine)) == "mobilenet resnet50 cvae"


def test_the_time_spent_on_timing_counts():
    machine = FabricatedMachine(LEARN, spent=seconds(epochs=10))
    assert plan_for(seconds(epochs=60), machine=machine).settings.training.max_epochs == 50


def test_the_precision_is_chosen_anew_for_what_is_left():
    machine = FabricatedMachine(LEARN, bfloat16={"vgg16": 0.4, "resnet50": 0.4, "mobilenet": 1.5})
    undecided = replace(ASKED, training=replace(ASKED.training, precision=None))
    assert plan_study(undecided, COHORT, machine, 1).settings.training.precision == "bfloat16"
    plan = plan_for(seconds("mobilenet", epochs=60), settings=undecided, machine=machine)
    assert (backbones(plan), plan.settings.training.precision) == ("mobilenet cvae", "float32")


def test_the_papers_epochs_and_the_cohorts_own_split_stay():
    paper = replace(ASKED, training=TrainingSettings("paper").resolved())
    machine = FabricatedMachine(LEARN)
    budget = seconds("mobilenet", side=64, epochs=500)
    assert plan_for(budget, settings=paper, machine=machine).settings.training.max_epochs == 500
    own = make_cohort(
        40, 10, [*["train"] * 24, *["tune"] * 8, *["test"] * 8, *["train"] * 6, "tune", "tune", *["test"] * 2]
    )
    plan = plan_for(seconds("mobilenet", side=64, folds=1, epochs=10), cohort=own)
    assert (plan.settings.split.folds, len(plan.splits), plan.settings.training.max_epochs) == (5, 1, 10)


def test_a_budget_for_nothing_names_the_smallest_plan_and_what_to_release():
    with pytest.raises(InputError) as error:
        plan_for(seconds("mobilenet", side=64, folds=1, epochs=9))
    said = str(error.value)
    smallest = duration(seconds("mobilenet", side=64, folds=1, epochs=10))
    assert f"found up to {smallest} (mobilenet on 1 split, 64 px, 10 epochs)" in said
    assert said.endswith("Give at least --budget 1m.")
    with pytest.raises(InputError) as error:
        plan_for(60.0, named=("recipes", "split.folds", "seed"))
    said = str(error.value)
    assert "(vgg16, mobilenet, resnet50, cvae on 5 splits, 64 px, 10 epochs)" in said
    assert said.endswith("or do not name --recipes, --folds yourself.")
    minutes = int(said.rpartition("--budget ")[2].partition("m,")[0])
    assert plan_within(Budget(60 * minutes, ("recipes", "split.folds")), ASKED, COHORT, FabricatedMachine(LEARN), 1)


def test_where_teaching_takes_the_time_weight_files_are_the_remedy():
    with pytest.raises(InputError, match="; 7 min of it go into teaching textures, which weight files make needless"):
        plan_for(300.0, machine=FabricatedMachine(LEARN, taught=1025.0))


def test_fewer_epochs_than_the_fewest_may_be_named():
    few = replace(ASKED, training=replace(ASKED.training, max_epochs=4))
    plan = plan_for(seconds("mobilenet", epochs=4), named=("training.max_epochs",), settings=few)
    assert (backbones(plan), plan.settings.training.max_epochs) == ("mobilenet", 4)


def test_the_examples_are_right():
    assert doctest.testmod(budget).failed == 0
