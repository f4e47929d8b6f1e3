"""Which scorer of the same networks is best, judged by the protocol of `accuracy.md`.

    python benchmarks/accuracy.py COHORT.csv OUT_FOLDER --weights mobilenet=FILE.h5
    python benchmarks/accuracy.py COHORT.csv OUT_FOLDER --weights mobilenet=FILE.h5 --open-test RECIPE,RECIPE

trains MobileNet, +texture and +texture+l2 on ten draws of the paper's size (`profiles.py`, variant `fast`; goes on
where it was stopped), scores the tuning cases by every detector and contrast on their embeddings, and prints ROC-AUC
and PR-AUC, means over the draws, and the difference in ROC-AUC from the plain classifier of the same network. Draws of
the same patients are no independent samples: the intervals take patients as the unit, and know no other cohort.

`--open-test` prints the same of the test cases for the recipes named, readers beside them (`--readers`), and counts it
in OUT_FOLDER/looks.json.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from profiles import run_study
from rarelesion.backbones import BACKBONES
from rarelesion.cohort import read_cohort, read_ratings
from rarelesion.compare import compare_roc_auc, holm
from rarelesion.contrasts import SCORERS
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.readers import reader_scores
from rarelesion.recipes import READER_PREFIX, parse_recipe
from rarelesion.scoring import score_recipe
from rarelesion.settings import CohortSettings, DetectorSettings
from rarelesion.store import read_case_table, read_embeddings, read_splits
from rarelesion.types import Comparison, Scores

NETWORKS = ("mobilenet", "mobilenet+texture", "mobilenet+texture+l2")
DRAWS, VARIANT = 10, "fast"


def main() -> None:
    """Train what is not trained yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", required=True, help="BACKBONE=FILE")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--open-test", help="recipes, separated by commas; a last one reader:NAME with --readers")
    parser.add_argument("--readers", type=Path)
    arguments = parser.parse_args()
    arguments.recipes = ",".join(NETWORKS)
    for draw in range(arguments.draws):
        run_study(arguments, draw, VARIANT)
    if arguments.open_test is None:
        names = [network + suffix for network in NETWORKS for suffix in ("", *(f"+{word}" for word in SCORERS))]
        print(table([scored(arguments, name, "tune") for name in names]))
        return
    names = arguments.open_test.split(",")
    seen = arguments.out / "looks.json"
    looks = [*(json.loads(seen.read_text(encoding="utf-8")) if seen.exists() else []), names]
    seen.write_text(json.dumps(looks, indent=1), encoding="utf-8")
    print(table([scored(arguments, name, "test") for name in names]))
    print(f"The test cases were opened {len(looks)} times by this protocol.")


def scored(arguments: argparse.Namespace, name: str, part: str) -> Scores:
    """A recipe's scores of a part over all draws, each draw as a repeat; the part is called test, as estimates want."""
    draws = []
    for draw in range(arguments.draws):
        run = arguments.out / f"draw{draw}" / VARIANT
        one = _reader(arguments, run, name) if name.startswith(READER_PREFIX) else _network(run, name)
        one = one.where(one.part == part)
        draws.append(replace(one, repeat=np.full_like(one.repeat, draw), part=np.full_like(one.part, "test")))
    columns = {item.name: np.concatenate([getattr(one, item.name) for one in draws]) for item in fields(Scores)[1:]}
    return Scores(recipe=name, **columns)


def _network(run: Path, name: str) -> Scores:
    recipe = parse_recipe(name, tuple(BACKBONES), SCORERS)
    embeddings = [read_embeddings(run / "embeddings" / f"{recipe.network}-r0f0.npz")]
    patient_of = {row["case_id"]: row["patient_id"] for row in read_case_table(run / "cohort.csv")}
    return score_recipe(recipe, embeddings, patient_of, DetectorSettings())


def _reader(arguments: argparse.Namespace, run: Path, name: str) -> Scores:
    cohort = read_cohort(arguments.out / f"{run.parent.name}" / "cohort.csv", CohortSettings())
    ratings = read_ratings(arguments.readers, cohort)
    return next(one for one in reader_scores(ratings, cohort, read_splits(run / "splits.json")) if one.recipe == name)


def table(rows: Sequence[Scores]) -> str:
    """Areas, and the differences from the plain classifier of the same network and, where there is one, a reader."""
    by_name = {one.recipe: one for one in rows}
    found = {name: dict(_differences(one, by_name)) for name, one in by_name.items()}
    family = [(name, other) for name, others in found.items() for other in others]
    adjusted = dict(zip(family, holm([found[name][other].p for name, other in family]), strict=True))
    lines = [
        "| | ROC-AUC | PR-AUC | less the plain classifier | less the reader |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, one in by_name.items():
        cells = []
        for kind in ("plain", "reader"):
            other = next((key for key in found[name] if key.startswith(READER_PREFIX) == (kind == "reader")), None)
            cells.append("" if other is None else _difference(found[name][other], adjusted[name, other]))
        areas = roc_auc_estimate(one), pr_auc_estimate(one, resamples=500)
        shown = " | ".join(f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})" for area in areas)
        lines.append(f"| {name} | {shown} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _differences(one: Scores, by_name: dict[str, Scores]) -> Iterator[tuple[str, Comparison]]:
    if one.recipe.startswith(READER_PREFIX):
        return
    plain = parse_recipe(one.recipe, tuple(BACKBONES), SCORERS).network
    for name, other in by_name.items():
        if name != one.recipe and (name == plain or name.startswith(READER_PREFIX)):
            yield name, compare_roc_auc(one, other)


def _difference(found: Comparison, p: float) -> str:
    return f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}), p {p:.3f}"


if __name__ == "__main__":
    main()
