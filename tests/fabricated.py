"""Scores and evaluations made up for tests of tables, figures and reports; a cohort and a machine for plans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rarelesion import metrics
from rarelesion.evaluation import Evaluation
from rarelesion.pace import Pace
from rarelesion.prediction import FoldReading, Neighbour, Prediction
from rarelesion.recipes import PAPER_RECIPES, PROPOSED
from rarelesion.types import Case, Cohort, Comparison, Estimate, OperatingPoint, RecipeResult, Scores

ROWS = (*PAPER_RECIPES, "reader:A")


def make_scores(recipe: str, folds: int = 1, n: int = 46, seed: int = 0, shift: float = 1.2) -> Scores:
    """Fabricated scores: a tune and a test set for each fold, one case in four malignant."""
    rng = np.random.default_rng([seed, sum(map(ord, recipe))])
    label = np.tile((np.arange(n) % 4 == 0).astype(int), 2 * folds)
    fold = np.repeat(np.arange(folds), 2 * n)
    part = np.tile(np.repeat(["tune", "test"], n), folds)
    score = rng.normal(size=label.size) + shift * label
    if recipe.startswith("reader:"):
        score = np.clip(np.round(score + 2), 1, 5)
    index = np.where(part == "test", np.arange(label.size), np.arange(label.size) + 10_000)
    case_id = np.array([f"case-{number:03d}" for number in index])
    return Scores(recipe, np.zeros_like(fold), fold, part, case_id, case_id, label, score.astype(float))


def make_evaluation(recipes: Sequence[Scores]) -> Evaluation:
    """An evaluation of the fabricated scores, with intervals of a made-up width."""
    results = []
    for place, scores in enumerate(recipes):
        test = scores.where(scores.part == "test")
        auc = metrics.roc_auc(test.label, test.score)
        half = 0.08 + 0.005 * place
        area = Estimate(auc, max(0.0, auc - half), min(1.0, auc + half), "made up")
        share = Estimate(0.75, 0.45, 0.92, "made up")
        point = OperatingPoint(0.3, share, share, "test")
        tuned = None if scores.recipe.startswith("reader:") else OperatingPoint(0.2, share, share, "tune")
        counts = int((test.label == 0).sum()), int(test.label.sum())
        results.append(RecipeResult(scores.recipe, *counts, area, area, point, tuned))
    comparisons = [
        Comparison(PROPOSED, s.recipe, 0.06, -0.05, 0.17, 0.28, 0.61, "paired, DeLong")
        for s in recipes
        if s.recipe != PROPOSED
    ]
    return Evaluation(tuple(results), tuple(comparisons))


def make_cohort(n_benign: int, n_malignant: int, split: Sequence[str | None] = ()) -> Cohort:
    """A cohort without images, a patient a case."""
    labels = [0] * n_benign + [1] * n_malignant
    parts = split or [None] * len(labels)
    cases = (
        Case(f"c{i}", f"p{i}", label, {}, {}, part)  # pyright: ignore[reportArgumentType]
        for i, (label, part) in enumerate(zip(labels, parts, strict=True))
    )
    return Cohort(Path("cohort.csv"), tuple(cases), ())


@dataclass
class FabricatedMachine:
    """Takes so many seconds a training image of 100 x 100 pixels in float32, and less in proportion to their number."""

    learn: Mapping[str, float]
    embed: float = 0.0
    bfloat16: Mapping[str, float] | None = None
    """Backbone -> its time in bfloat16, as a share of that in float32; None where the processor has none."""
    taught: float = 0.0
    detect: float = 0.0
    spent: float = 0.0
    asked: list[tuple[str, int, str | None, int]] = field(default_factory=list)
    """What was to be timed: backbone, side, precision, workers."""

    @property
    def precisions(self):
        return ("float32",) if self.bfloat16 is None else ("float32", "bfloat16")

    def pace(self, name, settings, workers, threads):
        side, precision = settings.images.side_px, settings.training.precision
        self.asked.append((name, side, precision, workers))
        share = (self.bfloat16 or {}).get(name, 1.0) if precision == "bfloat16" else 1.0
        return Pace(self.learn[name] * share * (side / 100) ** 2, self.embed)

    def teaching(self, name, settings):
        return self.taught * (settings.images.side_px / 100) ** 2

    def detecting(self, detector, n_train, n_cases, settings):
        return self.detect


def make_prediction(*scores: float, **changes) -> Prediction:
    """What folds with these scores and thresholds of .5 say of one case; `changes` replace what is usual."""
    readings = tuple(
        FoldReading(0, fold, score, 0.5, score, ("malignant",), 100 * score, None) for fold, score in enumerate(scores)
    )
    usual = Prediction(
        case_id="next",
        recipe="tiny+lof",
        decision="malignant",
        unsure=False,
        possible=("malignant",),
        conformal_alpha=0.1,
        conformal_note="",
        probability=float(np.median(scores)),
        prevalence=None,
        folds_malignant=sum(score >= 0.5 for score in scores),
        percentile=float(np.mean(scores)) * 100,
        score=float(np.median(scores)),
        neighbours=(Neighbour("c7", "benign", "pleomorphic adenoma"), Neighbour("c9", "malignant", "")),
        known_as=None,
        readings=readings,
    )
    return replace(usual, **changes)
