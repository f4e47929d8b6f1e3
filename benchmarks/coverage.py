"""How often intervals of areas hold the true area, by simulation: ROC-AUC, PR-AUC, partial ROC-AUC, means over folds.

    python benchmarks/coverage.py                            everything: writes benchmarks/coverage.csv, prints tables
    python benchmarks/coverage.py --table                    the tables of the file that is there
    python benchmarks/coverage.py --quick --out quick.csv    a few settings and replicates, in a minute

Each setting is a population of scores with a known area, a number of cases and of malignant ones among them. From it
samples are drawn (`--replicates`), the interval of each is made, and it is counted how often the true area lies in it,
below and above it. The nominal coverage is 95 %. The standard error of a coverage near 95 % is 0.5 % with 2000
replicates and 1.0 % with 500; what needs resampling or the library's call for each sample gets a quarter of them.

Populations: `normal` scores of equal spread; `wide`, malignant scores spread twice as much; `hidden`, half of the lost
area from malignant cases whose scores are those of benign ones; `heavy` tails (t with 2 degrees of freedom); `ratings`,
normal scores cut into five grades. True areas are integrated numerically, the PR-AUC at the prevalence of the sample.

Where DeLong's variance is zero or unknown, `delong`, `logit delong`, `logit delong t` and `wilson delong` are replaced
by `newcombe`, and `bootstrap t` of the PR-AUC by `wilson`: an interval of no width would only be worse. `bootstrap` of
the ROC-AUC is its limit for many resamples, which has a closed form. `default` is what the library gives; in every
setting the first samples are held against the library's own function.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit

from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.partial import partial_auc_estimate
from rarelesion.resampling import patient_draws, weighted_average_precision
from rarelesion.types import Scores

Array = NDArray[np.float64]
Bounds = tuple[Array, Array]
CASES, SHARES = (20, 50, 100, 200, 500), (0.02, 0.05, 0.1, 0.2, 0.3)
AREAS = (0.6, 0.75, 0.9, 0.95, 0.99)
PR_POPULATIONS, FOLD_SIZES, FOLDS = ("normal", "wide", "ratings"), ((10, 90), (20, 180), (50, 450)), 5
SPECIFICITIES = (0.8, 1.0)
QUICK_SIZES = ((1, 19), (2, 18), (5, 45), (10, 90))
ROC_DRAWS, PR_DRAWS = 500, 200
RESAMPLED_EVERY = 4
HELD_AGAINST_LIBRARY = 3
CONFIDENCE = 0.95
Z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
GRID = (np.arange(20_000) + 0.5) / 20_000
NO_VARIANCE = 1e-20
FAR = 1000.0
COLUMNS = (
    "measure", "population", "cases", "malignant", "roc_auc", "truth", "interval",
    "replicates", "coverage", "truth_below", "truth_above", "width",
)  # fmt: skip
BANDS = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 30), (31, 150))


@dataclass(frozen=True, slots=True)
class Population:
    """How the scores of both classes are spread."""

    benign: Any
    malignant: tuple[tuple[float, Any], ...]
    """Shares and distributions that they are mixed from."""
    cuts: Array | None = None
    """Where ratings change; None for scores as they are."""

    def draw(self, rng: np.random.Generator, replicates: int, malignant: int, benign: int) -> tuple[Array, Array]:
        """Scores of the malignant (replicates, malignant) and the benign cases (replicates, benign)."""
        size = (replicates, malignant)
        first, last = self.malignant[0], self.malignant[-1]
        above = np.where(rng.random(size) < first[0], first[1].ppf(u := rng.random(size)), last[1].ppf(u))
        below = self.benign.ppf(rng.random((replicates, benign)))
        if self.cuts is None:
            return above, below
        return np.digitize(above, self.cuts).astype(float), np.digitize(below, self.cuts).astype(float)

    def reach(self, score: Array) -> tuple[Array, Array]:
        """The shares of malignant and of benign cases that score higher."""
        return np.asarray(sum(share * each.sf(score) for share, each in self.malignant)), self.benign.sf(score)

    def grades(self) -> tuple[Array, Array]:
        """The shares of malignant and benign cases in each grade, from the highest."""
        ends = np.concatenate([[np.inf], np.asarray(self.cuts)[::-1], [-np.inf]])
        hits, alarms = self.reach(ends)
        return np.diff(hits), np.diff(alarms)

    def over_malignant(self, value: Callable[[Array, Array], Array]) -> float:
        """The mean over malignant cases of a function of the shares of malignant and benign that score higher."""
        quantiles = [each.ppf(GRID) for _, each in self.malignant]
        return sum(w * float(value(*self.reach(x)).mean()) for (w, _), x in zip(self.malignant, quantiles, strict=True))

    def roc_auc(self) -> float:
        """The chance that a malignant case scores higher than a benign one, a tie counting half."""
        if self.cuts is None:
            return self.over_malignant(lambda hits, alarms: 1 - alarms)
        hits, alarms = self.grades()
        return float(np.sum(hits * (1 - np.cumsum(alarms) + alarms / 2)))

    def pr_auc(self, prevalence: float) -> float:
        """The average precision at this prevalence."""
        odds = (1 - prevalence) / prevalence
        if self.cuts is None:
            return self.over_malignant(lambda hits, alarms: hits / (hits + odds * alarms))
        hits, alarms = self.grades()
        return float(np.sum(hits * np.cumsum(hits) / (np.cumsum(hits) + odds * np.cumsum(alarms))))

    def partial_auc(self) -> float:
        """The area over SPECIFICITIES, of scores that are no ratings."""
        low, high = SPECIFICITIES
        return float(self.reach(self.benign.isf((1 - high) + GRID * (high - low)))[0].mean() * (high - low))


def _hidden(shift: float, area: float) -> Population:
    missed = 1 - area
    return Population(stats.norm(), ((missed, stats.norm()), (1 - missed, stats.norm(shift))))


POPULATIONS: dict[str, Callable[[float, float], Population]] = {
    "normal": lambda shift, _: Population(stats.norm(), ((1.0, stats.norm(shift)),)),
    "wide": lambda shift, _: Population(stats.norm(), ((1.0, stats.norm(shift, 2)),)),
    "hidden": _hidden,
    "heavy": lambda shift, _: Population(stats.t(2), ((1.0, stats.t(2, shift)),)),
    "ratings": lambda shift, _: Population(
        stats.norm(), ((1.0, stats.norm(shift)),), shift / 2 + np.array([-1.2, -0.4, 0.4, 1.2])
    ),
}


def population(name: str, area: float) -> Population:
    """The population of this ROC-AUC."""
    make = POPULATIONS[name]
    shift = FAR if area == 1 else brentq(lambda shift: make(shift, area).roc_auc() - area, 0, FAR / 2, xtol=1e-9)
    return make(float(shift), area)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, slots=True)
class Areas:
    """What the intervals of the ROC-AUC are made from, one row a replicate."""

    value: Array
    spread: Array
    """(2, replicates) variance of the placements of the malignant and of the benign cases over their number."""
    resampled: Array
    """The variance over stratified bootstrap draws, in the limit of many."""
    draws: Array
    """(some replicates, ROC_DRAWS) areas of bootstrap draws."""
    sizes: tuple[int, int]


def _placements(above: Array, below: Array) -> tuple[Array, Array, float]:
    """One sample's shares of the other class that each case is ranked right against, and the share of pairs tied."""
    first, last = (np.searchsorted(np.sort(below), above, side) for side in ("left", "right"))
    under, upto = (np.searchsorted(np.sort(above), below, side) for side in ("left", "right"))
    pairs = above.size * below.size
    return (first + last) / (2 * below.size), 1 - (under + upto) / (2 * above.size), float(np.sum(last - first)) / pairs


def _resampled(above: Array, below: Array, rng: np.random.Generator) -> Array:
    """Areas (replicates, ROC_DRAWS) of stratified bootstrap draws.

    All samples share the choice of cases, which knows nothing of their scores; so it is a product of matrices.
    """
    m, n = above.shape[1], below.shape[1]
    malignant, benign = ((rng.multinomial(k, [1 / k] * k, ROC_DRAWS) / k).astype(np.float32) for k in (m, n))
    draws = []
    for rows in np.array_split(np.arange(len(above)), max(1, len(above) * m * n // 2_000_000)):
        x, y = above[rows, :, None], below[rows, None, :]
        right = (x > y).astype(np.float32) + np.float32(0.5) * (x == y)
        draws.append(((right @ benign.T) * malignant.T).sum(1).astype(float))
    return np.concatenate(draws)


def measure_areas(above: Array, below: Array, rng: np.random.Generator, drawn: int) -> Areas:
    """Areas of samples (replicates, cases of the class), the first `drawn` of them resampled."""
    m, n = above.shape[1], below.shape[1]
    each = [_placements(*sample) for sample in zip(above, below, strict=True)]
    of_malignant, of_benign, tied = (np.array(part) for part in zip(*each, strict=True))
    value = of_malignant.mean(1)
    spread = np.stack([of_malignant.var(1) / max(m - 1, 1), of_benign.var(1) / max(n - 1, 1)])
    pairs = value - tied / 4 + (n - 1) * (of_malignant**2).mean(1) + (m - 1) * (of_benign**2).mean(1)
    again = np.maximum(pairs - (m + n - 1) * value**2, 0) / (m * n)
    return Areas(value, spread, again, _resampled(above[:drawn], below[:drawn], rng), (m, n))


def wilson(share: Array, n: Array | float, z: Array | float = Z) -> Bounds:
    """Wilson's interval."""
    z2 = z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)


def on_logit_scale(value: Array, error: Array) -> Bounds:
    """Around the value on the logit scale."""
    inside = np.clip(value, 1e-12, 1 - 1e-12)
    centre, half = logit(inside), error / (inside * (1 - inside))
    return expit(centre - half), expit(centre + half)


def newcombe(value: Array, m: int, n: int) -> Bounds:
    """Newcombe's method 5, both ends by halving."""

    def excess(area: Array) -> Array:
        pairs = (1 - area) / (2 - area) + area / (1 + area)
        return (area - value) ** 2 - Z * Z * area * (1 - area) * (1 + ((m + n) / 2 - 1) * pairs) / (m * n)

    inside = np.clip(value, 1e-9, 1 - 1e-9)
    ends = []
    for outer in (0.0, 1.0):
        far, near = np.full(value.shape, abs(outer - 1e-15)), inside.copy()
        for _ in range(60):
            middle = (far + near) / 2
            reached = excess(middle) > 0
            far, near = np.where(reached, middle, far), np.where(reached, near, middle)
        ends.append(np.where(value == outer, outer, near))
    return ends[0], ends[1]


def wider(first: Bounds, second: Bounds) -> Bounds:
    """At each end the farther of two."""
    return np.minimum(first[0], second[0]), np.maximum(first[1], second[1])


def _else(usable: NDArray[np.bool_], bounds: Bounds, instead: Bounds) -> Bounds:
    return np.where(usable, bounds[0], instead[0]), np.where(usable, bounds[1], instead[1])


def roc_intervals(areas: Areas) -> dict[str, Bounds]:
    """Every interval of the ROC-AUC, each (replicates,) lows and highs."""
    (m, n), value = areas.sizes, areas.value
    variance = areas.spread.sum(0)
    some = (variance > NO_VARIANCE) & (value > 0) & (value < 1) & (min(m, n) > 1)
    both = some & (areas.spread.min(0) > NO_VARIANCE)
    safe, between = np.where(some, variance, 1.0), np.where(some, value, 0.5)
    parts = areas.spread / np.array([[max(m - 1, 1)], [max(n - 1, 1)]]) ** 0.5
    freedom = np.where(both, safe**2 / np.where(both, (parts**2).sum(0), 1.0), 1.0)
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)
    error, score, rarer = np.sqrt(safe), newcombe(value, m, n), wilson(value, float(min(m, n)))
    bounded = np.maximum(value - Z * error, 0), np.minimum(value + Z * error, 1)
    with_t = on_logit_scale(value, quantile * error)
    again = (areas.resampled > NO_VARIANCE) & (value > 0) & (value < 1)
    return {
        "default": rarer if min(m, n) == 1 else _else(both, wider(with_t, score), score),
        "logit delong": _else(both, on_logit_scale(value, Z * error), score),
        "logit delong t": _else(both, with_t, score),
        "delong": _else(some, bounded, score),
        "newcombe": score,
        "wilson delong": _else(both, wilson(value, between * (1 - between) / safe), score),
        "wilson rarer class": rarer,
        "bootstrap": _else(again, on_logit_scale(value, Z * np.sqrt(areas.resampled)), score),
        "percentile": tuple(np.percentile(areas.draws, [50 - 50 * CONFIDENCE, 50 + 50 * CONFIDENCE], axis=1)),
    }


def pr_intervals(value: Array, draws: Array, malignant: int) -> dict[str, Bounds]:
    """Every interval of the PR-AUC from values (replicates,) and bootstrap draws (replicates, draws)."""
    error, tail = draws.std(1), (1 - CONFIDENCE) / 2
    some = (error**2 > NO_VARIANCE) & (value < 1)
    hits, share = value * malignant, wilson(value, float(malignant))
    exact = (
        stats.beta.ppf(tail, hits, malignant - hits + 1),
        np.where(value < 1, stats.beta.ppf(1 - tail, hits + 1, np.maximum(malignant - hits, 1e-12)), 1.0),
    )
    binomial = exact if malignant < 4 else share
    quantile = float(stats.t.ppf(1 - tail, max(malignant - 1, 1)))
    inside = np.clip(value, 1e-12, 1 - 1e-12)
    boyd = on_logit_scale(value, Z * np.sqrt(inside * (1 - inside) / malignant))
    with_t = on_logit_scale(value, quantile * error)
    return {
        "default": _else(some & (malignant > 1), wider(with_t, binomial), binomial),
        "bootstrap": _else(some, on_logit_scale(value, Z * error), share),
        "bootstrap t": _else(some, with_t, share),
        "boyd logit": _else(value < 1, boyd, share),
        "wilson": share,
        "percentile": tuple(np.percentile(draws, [100 * tail, 100 - 100 * tail], axis=1)),
    }


def counted(setting: dict[str, Any], truth: float, intervals: dict[str, Bounds]) -> Iterator[dict[str, Any]]:
    """One row a kind of interval: how often it holds the truth."""
    for name, (low, high) in intervals.items():
        below, above = (truth < low - 1e-9).mean(), (truth > high + 1e-9).mean()
        row = {"truth": truth, "interval": name, "replicates": len(low), "coverage": 1 - below - above}
        yield setting | row | {"truth_below": below, "truth_above": above, "width": (high - low).mean()}


def as_scores(above: Array, below: Array, folds: int = 1) -> Scores:
    """One sample as the library takes it, malignant cases first, fold by fold."""
    ids = np.array([f"{i:03d}" for i in range(above.size + below.size)])
    fold = np.concatenate([np.arange(above.size) % folds, np.arange(below.size) % folds])
    zero, label = np.zeros(ids.size, dtype=int), np.repeat([1, 0], [above.size, below.size])
    return Scores("simulated", zero, fold, np.full(ids.size, "test"), ids, ids, label, np.concatenate([above, below]))


def _hold_against_library(found: Bounds, estimate: Callable[[Scores], Any], above: Array, below: Array) -> None:
    for row in range(HELD_AGAINST_LIBRARY):
        ours = estimate(as_scores(above[row], below[row]))
        if not np.allclose((ours.low, ours.high), (found[0][row], found[1][row]), atol=1e-6):
            raise SystemExit(
                f"the benchmark's default is not the library's: {found[0][row]} to {found[1][row]}; {ours}"
            )


def roc_rows(setting: dict[str, Any], drawn_from: Population, replicates: int, seed: int) -> Iterator[dict[str, Any]]:
    """ROC-AUC of one setting."""
    rng = np.random.default_rng(seed)
    m, n = setting["malignant"], setting["cases"] - setting["malignant"]
    above, below = drawn_from.draw(rng, replicates, m, n)
    intervals = roc_intervals(measure_areas(above, below, rng, replicates // RESAMPLED_EVERY))
    _hold_against_library(intervals["default"], roc_auc_estimate, above, below)
    yield from counted(setting, drawn_from.roc_auc(), intervals)


def pr_rows(setting: dict[str, Any], drawn_from: Population, replicates: int, seed: int) -> Iterator[dict[str, Any]]:
    """PR-AUC of one setting; all samples share the bootstrap's choice of cases."""
    m, cases = setting["malignant"], setting["cases"]
    above, below = drawn_from.draw(np.random.default_rng(seed), replicates // RESAMPLED_EVERY, m, cases - m)
    first = as_scores(above[0], below[0])
    weights = np.concatenate([np.ones((1, cases)), *patient_draws(first.label, first.patient_id, PR_DRAWS, seed=0)])
    malignant = first.label == 1
    areas = np.array([weighted_average_precision(malignant, row, weights) for row in np.hstack([above, below])])
    intervals = pr_intervals(areas[:, 0], areas[:, 1:], m)
    _hold_against_library(
        intervals["default"], lambda scores: pr_auc_estimate(scores, resamples=PR_DRAWS), above, below
    )
    yield from counted(setting, drawn_from.pr_auc(m / cases), intervals)


def by_library(
    setting: dict[str, Any], truth: float, samples: tuple[Array, Array], estimate: Callable[[Array, Array], Any]
) -> Iterator[dict[str, Any]]:
    """What the library's own function gives for each sample."""
    found = [estimate(above, below) for above, below in zip(*samples, strict=True)]
    bounds = np.array([one.low for one in found]), np.array([one.high for one in found])
    yield from counted(setting, truth, {"default": bounds})


def partial_rows(
    setting: dict[str, Any], drawn_from: Population, replicates: int, seed: int
) -> Iterator[dict[str, Any]]:
    """The ROC-AUC over SPECIFICITIES of one setting."""
    m, cases = setting["malignant"], setting["cases"]
    labels, (low, high) = np.repeat([1, 0], [m, cases - m]), SPECIFICITIES
    samples = drawn_from.draw(np.random.default_rng(seed), replicates // RESAMPLED_EVERY, m, cases - m)
    yield from by_library(
        setting,
        drawn_from.partial_auc(),
        samples,
        lambda above, below: partial_auc_estimate(labels, np.concatenate([above, below]), low, high),
    )


def fold_rows(setting: dict[str, Any], drawn_from: Population, replicates: int, seed: int) -> Iterator[dict[str, Any]]:
    """Both areas as means over FOLDS of one setting."""
    m, cases = setting["malignant"], setting["cases"]
    samples = drawn_from.draw(np.random.default_rng(seed), replicates // RESAMPLED_EVERY, m, cases - m)
    for measure, truth, estimate in (
        ("roc_auc, 5 folds", drawn_from.roc_auc(), roc_auc_estimate),
        ("pr_auc, 5 folds", drawn_from.pr_auc(m / cases), lambda scores: pr_auc_estimate(scores, resamples=PR_DRAWS)),
    ):
        yield from by_library(
            setting | {"measure": measure},
            truth,
            samples,
            lambda above, below, estimate=estimate: estimate(as_scores(above, below, FOLDS)),
        )


def simulate(quick: bool, replicates: int, seed: int) -> Iterator[dict[str, Any]]:
    """Every row of the table."""
    sizes = {(max(1, round(cases * share)), cases) for cases in CASES for share in SHARES}
    sizes = sorted({(m, m + n) for m, n in QUICK_SIZES} if quick else sizes)
    number = 0
    for name in POPULATIONS:
        for area in (0.9,) if quick else AREAS + (1.0,) * (name == "normal"):
            started, drawn_from = time.perf_counter(), population(name, area)
            for m, cases in sizes:
                number += 1
                todo = [("roc_auc", roc_rows)] + [("pr_auc", pr_rows)] * (name in PR_POPULATIONS and area > 0.6)
                todo += [("partial_roc_auc", partial_rows)] * (drawn_from.cuts is None and 0.6 < area < 0.99)
                todo += [("", fold_rows)] * ((m, cases - m) in FOLD_SIZES and name == "normal" and 0.6 < area < 0.99)
                for measure, rows in todo:
                    setting = {"measure": measure, "population": name, "cases": cases, "malignant": m, "roc_auc": area}
                    yield from rows(setting, drawn_from, replicates, seed + number)
            print(f"{name} {area}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """The table as a file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()})


def summary(rows: list[dict[str, str]]) -> str:
    """One Markdown table a measure: mean coverage, lowest coverage and mean width by number of malignant cases."""
    parts = []
    for measure in dict.fromkeys(row["measure"] for row in rows):
        own = [row for row in rows if row["measure"] == measure and float(row["roc_auc"]) < 1]
        names = list(dict.fromkeys(row["interval"] for row in own))
        parts.append(f"**{measure}**: mean coverage (lowest of all settings), mean width\n")
        parts.append("| malignant | settings | " + " | ".join(names) + " |\n" + "| --- " * (len(names) + 2) + "|")
        for first, last in BANDS:
            band = [row for row in own if first <= int(row["malignant"]) <= last]
            cells = [_cell([row for row in band if row["interval"] == name]) for name in names]
            if band:
                label = str(first) if first == last else f"{first}–{last}"
                parts.append(f"| {label} | {len(band) // len(names)} | " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def _cell(rows: list[dict[str, str]]) -> str:
    coverage, width = ([float(row[key]) for row in rows] for key in ("coverage", "width"))
    return f"{100 * np.mean(coverage):.1f} ({100 * min(coverage):.1f}), {np.mean(width):.2f}" if rows else ""


def main() -> None:
    """Simulate, write the file, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few settings, 400 replicates unless told")
    parser.add_argument("--table", action="store_true", help="print the tables of the file, simulate nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    if not arguments.table:
        replicates = min(arguments.replicates, 400) if arguments.quick else arguments.replicates
        write_rows(list(simulate(arguments.quick, replicates, arguments.seed)), arguments.out)
    with arguments.out.open(encoding="utf-8", newline="") as file:
        print(summary(list(csv.DictReader(file))))


if __name__ == "__main__":
    main()
