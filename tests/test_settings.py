from dataclasses import FrozenInstanceError, fields, replace
from typing import get_type_hints

import pytest

from rarelesion.config import RANGES, flat_settings, read_settings
from rarelesion.errors import InputError
from rarelesion.settings import Settings, StatisticsSettings, TrainingSettings


def test_the_paper_profile_is_the_papers_table():
    paper = TrainingSettings(profile="paper").resolved()
    assert (paper.batch_size, paper.learning_rate, paper.max_epochs) == (1, 1e-5, 500)
    assert (paper.batch_norm, paper.precision) == ("trained", "float32")


def test_what_is_set_goes_before_the_profile():
    chosen = TrainingSettings(profile="paper", max_epochs=3, precision="bfloat16").resolved()
    assert (chosen.batch_size, chosen.max_epochs, chosen.precision) == (1, 3, "bfloat16")


def test_the_fast_profile_leaves_the_precision_to_the_machine():
    fast = TrainingSettings().resolved()
    assert fast.precision is None
    assert [item.name for item in fields(fast) if getattr(fast, item.name) is None] == ["precision"]
    assert fast.resolved() == fast


def test_settings_are_not_changed():
    with pytest.raises(FrozenInstanceError):
        Settings().seed = 1  # pyright: ignore[reportAttributeAccessIssue]


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def test_every_number_has_a_range_and_its_default_lies_in_it():
    flat = flat_settings(replace(Settings(), training=TrainingSettings().resolved()))
    numbers = {name for name, value in flat.items() if is_number(value) or (isinstance(value, tuple) and value)}
    hints = get_type_hints(StatisticsSettings)
    left_open = {f"statistics.{name}" for name, hint in hints.items() if hint == float | None}
    assert numbers | left_open == set(RANGES)
    read_settings(None)


@pytest.mark.parametrize("name", RANGES)
def test_a_number_below_or_above_its_range_is_refused_by_name(name):
    low, high = map(float, RANGES[name][1:-1].split(","))
    group, _, key = name.rpartition(".")
    pair = isinstance(flat_settings(Settings())[name], tuple)
    ends = [end for end, mark in ((low, RANGES[name][0]), (high, RANGES[name][-1])) if mark in "()"]
    for wrong in (low - 1, high + 1, *ends):
        value = [wrong, wrong + 1] if pair else int(wrong) if wrong == int(wrong) else wrong
        with pytest.raises(InputError, match="is outside its range") as error:
            read_settings(None, {group: {key: value}} if group else {key: value})
        assert [problem.where for problem in error.value.problems] == [name]
