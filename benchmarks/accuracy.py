"""Which recipe is the most accurate, judged by the protocol of `accuracy.md`.

    python benchmarks/accuracy.py COHORT.csv OUT --weights mobilenet=FILE.h5 resnet50-conv4=FILE.h5
    python benchmarks/accuracy.py COHORT.csv OUT --weights ... --open-test RECIPE,RECIPE,reader:NAME --readers FILE
    python benchmarks/accuracy.py COHORT.csv OUT --weights ... --full --open-test RECIPE,reader:NAME --readers FILE

makes the rows of `ROWS` on ten draws of the paper's size (`small_draw.py`), or with `--full` in five folds over all
cases, goes on where it was stopped, and prints ROC-AUC and PR-AUC of the tuning cases, means over the draws, with the
difference in ROC-AUC from the plain classifier of the same network. Draws of the same patients are no independent
samples: the intervals take patients as the unit, and know no other cohort.

`--open-test` prints the same of the test cases for the recipes named, readers beside them, and counts it in
OUT/looks.json.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from rarelesion.cohort import read_cohort, read_ratings
from rarelesion.compare import compare_roc_auc, holm
from rarelesion.contrasts import SCORERS
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.readers import reader_scores
from rarelesion.recipes import BEST_NAME, JOIN, READER_PREFIX
from rarelesion.settings import (
    CohortSettings,
    FeatureSettings,
    ImageSettings,
    Settings,
    TextureSettings,
    TrainingSettings,
    WeightSettings,
)
from rarelesion.store import read_scores, read_splits
from rarelesion.study import run_study
from rarelesion.types import Comparison, Scores

NETWORKS = ("mobilenet", "mobilenet+texture", "mobilenet+texture+l2")
FROZEN = "resnet50-conv4+frozen"
THREE = JOIN.join(NETWORKS)
CONTRASTED = JOIN.join((*(f"{network}+lofratio" for network in NETWORKS), f"{FROZEN}+knnratio"))
ROWS = (
    *(network + suffix for network in NETWORKS for suffix in ("", *(f"+{word}" for word in SCORERS))),
    *(f"{FROZEN}+{word}" for word in SCORERS),
    "radiomics",
    *(f"{network}+radiomics" for network in (*NETWORKS, f"{FROZEN}+logistic")),
    THREE,
    f"{THREE}+radiomics",
    f"{THREE}{JOIN}{FROZEN}+logistic",
    f"{THREE}{JOIN}{FROZEN}+logistic+radiomics",
    CONTRASTED,
    f"{CONTRASTED}+radiomics",
    BEST_NAME,
)
DRAWS = 10
PLAIN = NETWORKS[0]


def main() -> None:
    """Make what is not made yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", required=True, nargs="+", metavar="BACKBONE=FILE")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--full", action="store_true", help="five folds over all cases in place of the draws")
    parser.add_argument("--open-test", help="recipes, separated by commas; reader:NAME among them with --readers")
    parser.add_argument("--readers", type=Path)
    parser.add_argument("--textures", default="procedural", help="a folder of photographs for the texture class")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", help="recipes, separated by commas, in place of all")
    parser.add_argument("--outline", action="store_true", help="radiomics of the outline found in a box")
    parser.add_argument("--margin", type=float, help="round the lesion, as a share of its side; default: the study's")
    arguments = parser.parse_args()
    runs = make_runs(arguments)
    if arguments.open_test is None:
        print(table([scored(arguments, runs, name, "tune") for name in rows(arguments)]))
        return
    names = arguments.open_test.split(",")
    seen = arguments.out / "looks.json"
    looks = [*(json.loads(seen.read_text(encoding="utf-8")) if seen.exists() else []), names]
    seen.write_text(json.dumps(looks, indent=1), encoding="utf-8")
    print(table([scored(arguments, runs, name, "test") for name in names]))
    print(f"The test cases were opened {len(looks)} times by this protocol.")


def make_runs(arguments: argparse.Namespace) -> list[tuple[Path, Path]]:
    """The cohort and the run folder of every draw, each a study up to its scores: no table of test cases is made."""
    mark = "" if arguments.margin is None else f"-margin{arguments.margin:g}"
    mark += "-outline" * arguments.outline
    if arguments.full:
        pairs = [(arguments.cohort, arguments.out / f"full{mark}")]
    else:
        folders = [arguments.out / f"draw{draw}" for draw in range(arguments.draws)]
        pairs = [(folder / "cohort.csv", folder / f"fast{mark}") for folder in folders]
    images = ImageSettings() if arguments.margin is None else ImageSettings(margin=arguments.margin)
    for draw, (cohort, run) in enumerate(pairs):
        if not cohort.exists():
            script = [sys.executable, Path(__file__).with_name("small_draw.py")]
            subprocess.run([*script, arguments.cohort, cohort.parent, "--seed", str(draw)], check=True)
        settings = Settings(
            recipes=rows(arguments),
            seed=draw,
            images=images,
            features=FeatureSettings(outline="found" if arguments.outline else "marked"),
            textures=TextureSettings(source=arguments.textures),
            training=TrainingSettings(precision="bfloat16"),
            weights=WeightSettings(files=dict(item.split("=", 1) for item in arguments.weights)),
        )
        stored = read_scores(run / "scores.csv") if (run / "scores.csv").exists() else ()
        if not {one.recipe for one in stored} >= set(rows(arguments)):
            print(f"{run}", file=sys.stderr, flush=True)
            run_study(cohort, run, settings, None, _quiet, arguments.workers)
    return pairs


def rows(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The recipes of this run."""
    return ROWS if arguments.rows is None else tuple(arguments.rows.split(","))


def _quiet(stage: str, detail: str, done: float, total: float) -> None:
    """No progress is shown."""


def scored(arguments: argparse.Namespace, runs: Sequence[tuple[Path, Path]], name: str, part: str) -> Scores:
    """A recipe's scores of a part over all draws, each draw as a repeat; the part is called test, as estimates want."""
    draws = []
    for draw, (cohort, run) in enumerate(runs):
        one = _reader(arguments, cohort, run, name) if name.startswith(READER_PREFIX) else _stored(run, name)
        one = one.where(one.part == part)
        draws.append(replace(one, repeat=np.full_like(one.repeat, draw), part=np.full_like(one.part, "test")))
    columns = {item.name: np.concatenate([getattr(one, item.name) for one in draws]) for item in fields(Scores)[1:]}
    return Scores(recipe=name, **columns)


def _stored(run: Path, name: str) -> Scores:
    return next(one for one in read_scores(run / "scores.csv") if one.recipe == name)


def _reader(arguments: argparse.Namespace, cohort_path: Path, run: Path, name: str) -> Scores:
    cohort = read_cohort(cohort_path, CohortSettings())
    ratings = read_ratings(arguments.readers, cohort)
    return next(one for one in reader_scores(ratings, cohort, read_splits(run / "splits.json")) if one.recipe == name)


def table(rows: Sequence[Scores]) -> str:
    """Areas, and the differences from the plain classifier and, where there is one, a reader."""
    by_name = {one.recipe: one for one in rows}
    found = {name: dict(_differences(one, by_name)) for name, one in by_name.items()}
    family = [(name, other) for name, others in found.items() for other in others]
    adjusted = dict(zip(family, holm([found[name][other].p for name, other in family]), strict=True))
    lines = [
        f"| | ROC-AUC | PR-AUC | less {PLAIN} | less the reader |",
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
    for name, other in by_name.items():
        if name != one.recipe and (name == PLAIN or name.startswith(READER_PREFIX)):
            yield name, compare_roc_auc(one, other)


def _difference(found: Comparison, p: float) -> str:
    return f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}), p {p:.3f}"


if __name__ == "__main__":
    main()
