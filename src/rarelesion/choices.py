"""choices.json: what `auto` chose in each split of a run, how stable that was, and in which words that is told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rarelesion import store
from rarelesion.calibration import Platt
from rarelesion.choosing import Choice, auto_scores
from rarelesion.errors import InputError, Problem
from rarelesion.recipes import AUTO
from rarelesion.settings import Settings
from rarelesion.tables import format_share, row_label
from rarelesion.types import Scores, Split

CHOICES = "choices.json"
RULE = (
    "in each split the recipe named first whose ROC-AUC on the split's tuning cases is at most one standard error of "
    "the difference below the best one's"
)
STEADY = 0.7
"""Chosen again in so many resamples: the tuning cases have something to say."""
NOTICED = 0.005


def choose_and_note(folder: Path, settings: Settings, scores: Sequence[Scores]) -> list[Scores]:
    """The row `auto` of a run from its candidates' `scores`, where it is wanted: also writes choices.json."""
    if AUTO not in settings.recipes:
        return []
    by_name = {one.recipe: one for one in scores}
    chosen, choices = auto_scores([by_name[name] for name in settings.recipes if name in by_name], settings.seed)
    store.write_json(folder / CHOICES, choices_json(choices))
    return [chosen]


def choices_json(choices: Sequence[Choice]) -> dict[str, Any]:
    """The choices as plain values, with what they say in words."""
    candidates = list(choices[0].areas)
    counts = Counter(choice.recipe for choice in choices)
    return {
        "rule": RULE,
        "sentences": choice_sentences(choices),
        "chosen": {name: counts[name] for name in candidates},
        "same_choice": max(counts.values()) / len(choices),
        "same_choice_in_resamples": _again(choices),
        "chosen_in_resamples": {name: float(np.mean([one.often[name] for one in choices])) for name in candidates},
        "tuning_roc_auc": {name: float(np.mean([one.areas[name] for one in choices])) for name in candidates},
        "optimism": _optimism(choices),
        "splits": [asdict(choice) for choice in choices],
    }


def read_choices(folder: Path, splits: Sequence[Split]) -> tuple[Choice, ...]:
    """What was chosen in each of a run's splits; InputError where its choices.json is missing or does not say so."""
    path = folder / CHOICES
    try:
        found = [Choice(**{**one, "scale": Platt(**one["scale"])}) for one in store.read_json(path)["splits"]]
        place = {(choice.repeat, choice.fold): choice for choice in found}
        return tuple(place[split.repeat, split.fold] for split in splits)
    except (KeyError, TypeError):
        remedy = store.MADE_ANEW
        raise InputError(Problem(str(path), "does not say what was chosen in each split", remedy=remedy)) from None


def _again(choices: Sequence[Choice]) -> float:
    """How often, on average, a split would have chosen as it did had its tuning patients been drawn anew."""
    return float(np.mean([choice.often[choice.recipe] for choice in choices]))


def _optimism(choices: Sequence[Choice]) -> float:
    return float(np.mean([choice.optimism for choice in choices]))


def choice_sentences(choices: Sequence[Choice]) -> list[str]:
    """What was chosen, how stable that was, and what the choice does to the tuning cases."""
    counts, n = Counter(choice.recipe for choice in choices), len(choices)
    named = [f"{row_label(name)} in {count}" for name, count in counts.most_common()]
    chosen = f"{', '.join(named)} of {n} splits" if n > 1 else row_label(choices[0].recipe)
    again, flattered = _again(choices), _optimism(choices)
    hardly = "" if again >= STEADY else "; so few cases hardly tell these recipes apart"
    sentences = [
        f"auto chose {chosen}, among {len(choices[0].areas)} recipes and by the tuning cases of each split alone. Its "
        "test cases took no part, so the row is an honest estimate of choosing in this way.",
        f"Had the tuning patients been drawn anew, it would have chosen the same in {100 * again:.0f} % of the draws"
        f"{hardly}.",
    ]
    if flattered >= NOTICED:
        sentences.append(
            f"On its tuning cases what auto chose looks better than it is, by about {format_share(flattered)} in "
            "ROC-AUC: its thresholds and probabilities rest on them and are somewhat too hopeful. What they do to the "
            "test cases is measured as for any other row."
        )
    return sentences
