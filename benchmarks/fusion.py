"""What radiomics add to a network, on the tuning cases of `accuracy.py`; and how fused parts are best weighed.

    python benchmarks/fusion.py COHORT.csv OUT_FOLDER
    python benchmarks/fusion.py --simulate

The first goes over the draws that `accuracy.py` has trained in OUT_FOLDER and prints the ROC-AUC of their tuning cases,
no other. The second needs no data: parts of known worth are weighed on tuning cases of the paper's number by several
rules, and the table shows what each rule reaches on all cases to come.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rarelesion.backbones import BACKBONES
from rarelesion.cohort import read_cohort
from rarelesion.compare import compare_roc_auc
from rarelesion.contrasts import SCORERS
from rarelesion.fusion import Beside, weigh
from rarelesion.measurements import measure_cohort
from rarelesion.metrics import roc_auc
from rarelesion.recipes import parse_recipe
from rarelesion.ridge import fit_part, fit_ridge
from rarelesion.scoring import fit_split
from rarelesion.settings import CohortSettings, DetectorSettings, FeatureSettings, ImageSettings
from rarelesion.store import read_embeddings
from rarelesion.types import Ints, Scores

Array = NDArray[np.float64]
NETWORKS = ("mobilenet", "mobilenet+texture", "mobilenet+texture+l2")
RECIPES = ("radiomics", *(network + fused for network in NETWORKS for fused in ("", "+radiomics")))
TRAIN, TUNE = (118, 33), (37, 11)
SCENARIOS: Mapping[str, tuple[tuple[float, ...], Mapping[tuple[int, int], float]]] = {
    "network .87, radiomics .84, alike (r .65)": ((1.6, 1.4), {(0, 1): 0.65}),
    "network .87, radiomics .74, alike (r .65)": ((1.6, 0.9), {(0, 1): 0.65}),
    "network .87, clinical .74": ((1.6, 0.9), {(0, 1): 0.1}),
    "network .87, clinical .58": ((1.6, 0.3), {(0, 1): 0.1}),
    "network .87, clinical .50": ((1.6, 0.0), {}),
    "network .73, clinical .74": ((0.86, 0.91), {(0, 1): 0.1}),
    "network .58, clinical .80": ((0.3, 1.2), {(0, 1): 0.2}),
    "network .87, radiomics .84, clinical .74": ((1.6, 1.4, 0.9), {(0, 1): 0.65, (0, 2): 0.1, (1, 2): 0.2}),
    "network .87, radiomics .84, clinical .50": ((1.6, 1.4, 0.0), {(0, 1): 0.65}),
}
"""How many standard deviations apart the classes lie in each part, and how parts correlate within a class."""


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--studies", type=int, default=200)
    arguments = parser.parse_args()
    print("\n".join(simulated(arguments.studies) if arguments.simulate else judged(arguments)))


def judged(arguments: argparse.Namespace) -> Iterator[str]:
    """The rows of the table of tuning cases: each draw's ROC-AUC, their mean, and what the radiomics changed."""
    cohort = read_cohort(arguments.cohort, CohortSettings())
    patient_of = {case.case_id: case.patient_id for case in cohort.cases}
    beside = Beside(measure_cohort(cohort, ImageSettings(), FeatureSettings()))
    yield f"| | {' | '.join(f'draw {draw}' for draw in range(arguments.draws))} | mean | less the network alone |"
    yield "| --- " + "| ---: " * (arguments.draws + 2) + "|"
    scored: dict[str, Scores] = {}
    for name in RECIPES:
        draws = [_tuning_scores(arguments.out, draw, name, beside, patient_of) for draw in range(arguments.draws)]
        columns = {item.name: np.concatenate([getattr(one, item.name) for one in draws]) for item in fields(Scores)[1:]}
        scored[name] = Scores(recipe=name, **columns)
        areas = [roc_auc(one.label, one.score) for one in draws]
        alone = scored.get(name.removesuffix("+radiomics")) if name.endswith("+radiomics") else None
        cells = [f"{area:.3f}" for area in (*areas, np.mean(areas))]
        yield f"| {name} | {' | '.join(cells)} | {_difference(scored[name], alone) if alone else ''} |"


def _tuning_scores(out: Path, draw: int, name: str, beside: Beside, patient_of: Mapping[str, str]) -> Scores:
    """Of one draw, as a repeat; the part is called test, as comparisons want."""
    recipe = parse_recipe(name, tuple(BACKBONES), SCORERS)
    network = recipe.network or NETWORKS[0]
    rows = read_embeddings(out / f"draw{draw}" / "fast" / "embeddings" / f"{network}-r0f0.npz")
    scorer = fit_split(recipe, rows, DetectorSettings(), beside, patient_of)
    tune = rows.parts == "tune"
    case_ids = rows.case_ids[tune]
    return Scores(
        recipe=name,
        repeat=np.full(len(case_ids), draw),
        fold=np.zeros(len(case_ids), dtype=np.int64),
        part=np.full(len(case_ids), "test"),
        case_id=case_ids,
        patient_id=np.array([patient_of[case_id] for case_id in case_ids.tolist()]),
        label=rows.labels[tune],
        score=scorer.tune,
    )


def _difference(one: Scores, other: Scores) -> str:
    found = compare_roc_auc(one, other)
    return f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}), p {found.p:.3f}"


def simulated(studies: int) -> Iterator[str]:
    """The rows of the table of rules: the mean ROC-AUC on all cases to come."""
    table = {name: _reached(studies, *scenario) for name, scenario in SCENARIOS.items()}
    rules = list(next(iter(table.values())))
    yield f"| | {' | '.join(rules)} |"
    yield "| --- " + "| ---: " * len(rules) + "|"
    for name, areas in table.items():
        yield f"| {name} | {' | '.join(f'{areas[rule]:.3f}' for rule in rules)} |"
    yield f"| mean | {' | '.join(f'{np.mean([areas[rule] for areas in table.values()]):.3f}' for rule in rules)} |"


def _reached(studies: int, apart: tuple[float, ...], alike: Mapping[tuple[int, int], float]) -> dict[str, float]:
    rng = np.random.default_rng(0)
    shift, within = np.array(apart), np.eye(len(apart))
    for (i, j), r in alike.items():
        within[i, j] = within[j, i] = r
    found: dict[str, list[float]] = {}
    for _ in range(studies):
        train, train_labels = _draw(*TRAIN, shift, within, rng)
        tune, tune_labels = _draw(*TUNE, shift, within, rng)
        claims = np.array([1.0, *(_claim(train[:, [part]], train_labels) for part in range(1, len(apart)))])
        for rule, weights in _rules(tune, tune_labels, claims).items():
            found.setdefault(rule, []).append(_area(weights, shift, within))
    best = _area(np.asarray(np.linalg.solve(within, shift), dtype=np.float64), shift, within)
    return {**{rule: float(np.mean(areas)) for rule, areas in found.items()}, "best possible": best}


def _draw(benign: int, malignant: int, shift: Array, within: Array, rng: np.random.Generator) -> tuple[Array, Ints]:
    labels = np.repeat([0, 1], [benign, malignant])
    noise = rng.normal(size=(labels.size, len(shift))) @ np.linalg.cholesky(within).T
    return noise + labels[:, None] * shift, labels


def _claim(part: Array, labels: Ints) -> float:
    """The slope that a part of features gives itself on the training cases."""
    learnt = fit_part(part, labels, [str(number) for number in range(len(labels))], 0)
    low, high = learnt.score(np.array([[-1.0], [1.0]]))
    return float(high - low) / 2


def _rules(tune: Array, labels: Ints, claims: Array) -> dict[str, Array]:
    """Each rule's weights of the parts."""
    patients = [str(number) for number in range(len(labels))]
    spread = tune.std(axis=0)
    standard = (tune - tune.mean(axis=0)) / spread

    def slope(part: int) -> float:
        return max(0.0, float(fit_ridge(standard[:, [part]], labels, 1.0)[1])) / float(spread[part])

    weighing, _ = weigh(tune * claims, labels, patients, networked=True, seed=0)
    ours = weighing.weights * claims
    ours[0] /= weighing.spread[0]
    return {
        "network alone": np.eye(len(claims))[0],
        "equal, standardised": 1 / spread,
        "each by its tuning slope": np.array([slope(part) for part in range(len(claims))]),
        "free logistic": np.maximum(fit_ridge(standard, labels, 1e-3)[1:], 0.0) / spread,
        "sum of log-odds": np.array([slope(0), *claims[1:]]),
        "drawn towards that (ours)": ours,
    }


def _area(weights: Array, shift: Array, within: Array) -> float:
    """The ROC-AUC of normal scores under these weights."""
    length = float(np.sqrt(weights @ within @ weights))
    return float(norm.cdf(weights @ shift / length / np.sqrt(2))) if length > 0 else 0.5


if __name__ == "__main__":
    main()
