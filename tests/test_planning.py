"""Plans: hand-counted seconds on a machine made up for it."""

import doctest
from dataclasses import replace

import pytest

from fabricated import FabricatedMachine, make_cohort
from rarelesion import planning
from rarelesion.errors import InputError
from rarelesion.planning import choose_precision, forecast, parse_recipes, plan_study
from rarelesion.settings import CvaeSettings, Settings, SplitSettings, TextureSettings, TrainingSettings
from rarelesion.splits import make_splits

COHORT = make_cohort(40, 10)
"""Train 30 cases (24 benign), tune 10 (8 benign), test 10."""
SETTINGS = Settings(
    recipes=("tiny",),
    split=SplitSettings(folds=1),
    training=TrainingSettings(max_epochs=20, precision="float32").resolved(),
)


def plan_of(machine, workers=1, **changes):
    return plan_study(replace(SETTINGS, **changes), COHORT, machine, workers)


def test_no_recipes_mean_the_papers():
    assert len(parse_recipes(replace(SETTINGS, recipes=()))) == 16


def test_a_network_takes_its_epochs_and_then_reads_every_case():
    plan = plan_of(FabricatedMachine({"tiny": 0.1}, embed=0.01))
    assert plan.seconds_of == {"tiny-r0f0": pytest.approx(20 * (30 * 0.1 + 10 * 0.01) + 50 * 0.01)}
    assert plan.seconds == pytest.approx(62.5)


def test_textures_are_learnt_from_too():
    machine = FabricatedMachine({"tiny": 0.1})
    plan = plan_of(machine, recipes=("tiny+texture",), textures=TextureSettings(per_case=0.5))
    assert plan.seconds == pytest.approx(20 * 45 * 0.1)


@pytest.mark.parametrize(("condition", "cases"), [("none", 24), ("class", 30)])
def test_the_cvae_has_its_own_epochs_and_learns_from_the_benign_alone(condition, cases):
    plan = plan_of(FabricatedMachine({"cvae": 0.1}), recipes=("cvae",), cvae=CvaeSettings(condition, max_epochs=7))
    assert plan.seconds == pytest.approx(7 * cases * 0.1)


def test_networks_side_by_side_take_as_long_as_the_last_of_them():
    machine = FabricatedMachine({"tiny": 0.1, "cvae": 0.025}, taught=7.0, detect=0.5)
    recipes = ("tiny", "tiny+l2", "tiny+l2+lof", "tiny+l2+knn", "cvae")
    plan = plan_of(machine, workers=2, recipes=recipes, cvae=CvaeSettings(max_epochs=20))
    assert sorted(plan.seconds_of.values()) == pytest.approx([12.0, 60.0, 60.0])
    assert plan.training == pytest.approx(72.0)
    assert plan.seconds == pytest.approx(72.0 + 7.0 + 2 * 0.5)
    shares = plan.shares()
    assert {name: count for name, (count, _) in shares.items()} == {"tiny": 2, "cvae": 1}
    assert sum(seconds for _, seconds in shares.values()) == pytest.approx(72.0)
    assert shares["tiny"][1] == pytest.approx(72.0 * 120 / 132)


def test_networks_are_timed_with_as_many_beside_them_as_there_will_be():
    machine = FabricatedMachine({"tiny": 0.1})
    assert plan_of(machine, workers=4, split=SplitSettings(folds=3)).workers == 3
    assert machine.asked == [("tiny", 100, "float32", 3)]


def test_only_what_is_left_is_forecast():
    machine = FabricatedMachine({"tiny": 0.1, "cvae": 0.1}, embed=0.01, taught=3.0)
    settings = replace(SETTINGS, recipes=("tiny", "tiny+l2", "cvae"))
    splits = make_splits(COHORT, settings.split, 0)
    plan = forecast(settings, COHORT, splits, machine, 1, {"cvae-r0f0", "tiny-r0f0"}, {"tiny+l2-r0f0"})
    assert [job.id for job in plan.left] == ["tiny+l2-r0f0"]
    assert (plan.n_networks, plan.seconds_of) == (3, {"tiny+l2-r0f0": pytest.approx(0.5)})
    everything = {"cvae-r0f0", "tiny-r0f0", "tiny+l2-r0f0"}
    done = forecast(settings, COHORT, splits, FabricatedMachine({}), 1, everything)
    assert (done.left, done.seconds, done.shares()) == ((), 0.0, {})


OPEN = replace(SETTINGS.training, precision=None)


def test_a_stated_precision_is_not_measured():
    machine = FabricatedMachine({"tiny": 0.1}, bfloat16={"tiny": 0.1})
    plan = plan_of(machine)
    assert (plan.settings.training.precision, plan.measured) == ("float32", {})
    assert {precision for _, _, precision, _ in machine.asked} == {"float32"}


@pytest.mark.parametrize(("share", "chosen"), [(0.79, "bfloat16"), (0.81, "float32"), (3.0, "float32")])
def test_bfloat16_is_taken_where_its_step_is_clearly_faster(share, chosen):
    machine = FabricatedMachine({"tiny": 0.1}, bfloat16={"tiny": share})
    plan = plan_of(machine, training=OPEN)
    assert plan.settings.training.precision == chosen
    assert plan.measured == {"float32": {"tiny": 0.1}, "bfloat16": {"tiny": pytest.approx(0.1 * share)}}
    assert plan.seconds == pytest.approx(60.0 * (share if chosen == "bfloat16" else 1.0))


def test_the_precision_is_chosen_by_the_time_of_all_networks_together():
    learn, bfloat16 = {"tiny": 0.1, "vgg16": 1.0, "cvae": 0.1}, {"tiny": 2.0, "vgg16": 0.5}
    many_small = ("tiny", "tiny+l2", "tiny+texture", "tiny+texture+l2", "cvae")
    machine = FabricatedMachine(learn, bfloat16=bfloat16)
    assert plan_of(machine, training=OPEN, recipes=("tiny", "vgg16")).settings.training.precision == "bfloat16"
    assert plan_of(machine, training=OPEN, recipes=many_small).settings.training.precision == "float32"


def test_without_bfloat16_there_is_one_figure_and_the_cvae_alone_leaves_it_open():
    machine = FabricatedMachine({"tiny": 0.1, "cvae": 0.1})
    plan = plan_of(machine, training=OPEN)
    assert (plan.settings.training.precision, list(plan.measured)) == ("float32", ["float32"])
    assert plan_of(machine, training=OPEN, recipes=("cvae",)).settings.training.precision is None


def test_exactly_four_fifths_are_not_enough():
    assert choose_precision({"float32": 1.0, "bfloat16": 0.8}) == "float32"


def test_too_few_cases_are_found_before_anything_is_timed():
    machine = FabricatedMachine({"tiny": 0.1})
    with pytest.raises(InputError, match="no malignant case is left"):
        plan_study(SETTINGS, make_cohort(40, 2), machine, 1)
    assert machine.asked == []


def test_the_examples_are_right():
    assert doctest.testmod(planning).failed == 0
