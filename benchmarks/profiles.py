"""What the profile `fast` costs in accuracy: against `paper`, on the same draws of the paper's size from real cases.

    python benchmarks/profiles.py COHORT.csv OUT_FOLDER --weights mobilenet=FILE.h5 --draws 3

draws 151 training and 48 tuning cases, all others as test, as often as asked (`small_draw.py`), runs a study of each
variant on every draw, and prints ROC-AUC a draw and the difference from the first variant with its interval: the mean
over the draws, with patients as the units that vary (the draws share test cases). The interval knows nothing of other
draws and seeds. Goes on where it was stopped.

From `paper` to `fast` in steps: `paper`; `paper-held`, the same with the statistics of batch normalisation held;
`fast-float32`, in batches besides, with the learning rate that goes with them; `fast`, in bfloat16 besides.
"""

import argparse
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from rarelesion.compare import compare_roc_auc
from rarelesion.intervals import roc_auc_estimate
from rarelesion.store import read_scores
from rarelesion.types import Scores

VARIANTS = {
    "paper": '[training]\nprofile = "paper"\n',
    "paper-held": '[training]\nprofile = "paper"\nbatch_norm = "frozen"\n',
    "fast-float32": '[training]\nprofile = "fast"\nprecision = "float32"\n',
    "fast": '[training]\nprofile = "fast"\nprecision = "bfloat16"\n',
}
RECIPES = "mobilenet,mobilenet+texture,mobilenet+texture+l2"


def main() -> None:
    """Run what is not done yet and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", required=True, help="BACKBONE=FILE")
    parser.add_argument("--recipes", default=RECIPES)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--draws", type=int, default=3)
    arguments = parser.parse_args()
    variants = arguments.variants.split(",")
    for draw in range(arguments.draws):
        for variant in variants:
            run_study(arguments, draw, variant)
    scores = {variant: merged(arguments.out, variant, arguments.draws) for variant in variants}
    print(area_table(scores, arguments.draws))
    print(difference_table(scores))


def run_study(arguments: argparse.Namespace, draw: int, variant: str) -> None:
    """One study, in a process of its own."""
    folder = arguments.out / f"draw{draw}"
    if not (folder / "cohort.csv").exists():
        script = Path(__file__).with_name("small_draw.py")
        subprocess.run([sys.executable, script, arguments.cohort, folder, "--seed", str(draw)], check=True)
    config = arguments.out / f"{variant}.toml"
    config.write_text(VARIANTS[variant], encoding="utf-8")
    run = folder / variant
    if not (run / "report.html").exists():
        options = ["--recipes", arguments.recipes, "--weights", arguments.weights, "--seed", str(draw)]
        command = [sys.executable, "-m", "rarelesion", "study", folder / "cohort.csv", "--out", run, "--config", config]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)


def merged(out: Path, variant: str, draws: int) -> dict[str, Scores]:
    """The scores of all draws, each draw as a repeat."""
    runs = [read_scores(out / f"draw{draw}" / variant / "scores.csv") for draw in range(draws)]
    result = {}
    for recipes in zip(*runs, strict=True):
        numbered = [replace(one, repeat=np.full_like(one.repeat, draw)) for draw, one in enumerate(recipes)]
        columns = [np.concatenate([getattr(one, item.name) for one in numbered]) for item in fields(Scores)[1:]]
        result[recipes[0].recipe] = Scores(recipes[0].recipe, *columns)
    return result


def area_table(scores: dict[str, dict[str, Scores]], draws: int) -> str:
    """ROC-AUC of every draw, and their mean."""
    rows = [f"| | variant | {' | '.join(f'draw {draw}' for draw in range(draws))} | mean (95 % CI) |"]
    rows.append("| --- | --- |" + " ---: |" * (draws + 1))
    for recipe in next(iter(scores.values())):
        for variant, of_recipe in scores.items():
            one = of_recipe[recipe]
            areas = [roc_auc_estimate(one.where(one.repeat == draw), 0.95).value for draw in range(draws)]
            mean = roc_auc_estimate(one, 0.95)
            cells = " | ".join(f"{area:.3f}" for area in areas)
            rows.append(f"| {recipe} | {variant} | {cells} | {mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f}) |")
    return "\n".join(rows) + "\n"


def difference_table(scores: dict[str, dict[str, Scores]]) -> str:
    """Every variant less the first."""
    first, *others = scores
    rows = [f"| | less {first} | difference in ROC-AUC (95 % CI) |", "| --- | --- | ---: |"]
    for recipe, reference in scores[first].items():
        for variant in others:
            found = compare_roc_auc(scores[variant][recipe], reference)
            rows.append(f"| {recipe} | {variant} | {found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}) |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
