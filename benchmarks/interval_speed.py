"""How fast intervals are made, beside a loop over scikit-learn and beside other packages, and how memory grows.

    python benchmarks/interval_speed.py
    python benchmarks/interval_speed.py --peer-python PEERS/bin/python
    python benchmarks/interval_speed.py --json

`table` is that of a large study: 17 rows of 640 cases in 5 folds, ROC-AUC and PR-AUC with 2,000 bootstrap draws each.
The loop over scikit-learn calls `roc_auc_score` and `average_precision_score` once a draw and fold; it is timed on
LOOP_DRAWS draws of one row and multiplied. `single` is one row without folds, the only kind other packages take: ours,
DeLong and 2,000 draws, and theirs where the Python named by `--peer-python` can import them (`confidenceinterval`:
DeLong, `average_precision_score` with 2,000 draws; `MLstatkit`: 2,000 draws of both areas; a package that fails is
listed with its error). `delong` is DeLong's interval of one row of many cases; `memory` is what it and the bootstrap of
20 draws take at their most beyond the scores themselves, as Python's allocator counts it (`tracemalloc`; time apart);
from 50,000 cases on the library computes that spread without draws.

Seconds are the least of RUNS runs, all in this one call, so that they can be set beside each other.
"""

import argparse
import json
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.types import Scores

ROWS, CASES, MALIGNANT, FOLDS, DRAWS = 17, 640, 212, 5, 2000
LOOP_DRAWS, RUNS, DELONG_CASES, MEMORY_DRAWS = 40, 3, 100_000, 20
MEMORY_CASES = (10_000, 100_000, 1_000_000)
PEERS = {
    "confidenceinterval, DeLong": """
from confidenceinterval import roc_auc_score
work = lambda: roc_auc_score(label, score)
""",
    "confidenceinterval, PR-AUC bootstrap": """
from confidenceinterval.bootstrap import bootstrap_ci
from sklearn.metrics import average_precision_score
work = lambda: bootstrap_ci(label, score, average_precision_score, n_resamples=draws, method="bootstrap_percentile")
""",
    "MLstatkit, ROC-AUC bootstrap": """
from MLstatkit import Bootstrapping
work = lambda: Bootstrapping(label, score, metric_str="roc_auc", n_bootstraps=draws)
""",
    "MLstatkit, PR-AUC bootstrap": """
from MLstatkit import Bootstrapping
work = lambda: Bootstrapping(label, score, metric_str="average_precision", n_bootstraps=draws)
""",
}
TIMED_PEER = """
import json, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
given = json.loads(sys.stdin.read())
label, score, draws = np.array(given["label"]), np.array(given["score"]), given["draws"]
{work}
times = []
for _ in range(given["runs"]):
    start = time.perf_counter()
    work()
    times.append(time.perf_counter() - start)
print("\\n" + json.dumps(min(times)))
"""


def made_up(cases: int, malignant: int, folds: int, seed: int) -> Scores:
    """Normal scores, malignant ones shifted by 1.5; every case a patient."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat([1, 0], [malignant, cases - malignant]))
    case, zero = np.arange(cases).astype(str), np.zeros(cases, dtype=int)
    score = rng.normal(size=cases) + 1.5 * label
    return Scores("made-up", zero, np.arange(cases) % folds, np.full(cases, "test"), case, case, label, score)


def seconds(work: Callable[[], Any], runs: int = RUNS) -> float:
    """The least time of several runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def loop_over_scikit_learn(scores: Scores, draws: int) -> None:
    """The bootstrap of both areas as it is usually written."""
    rng, label, fold = np.random.default_rng(0), scores.label, scores.fold
    classes = [np.flatnonzero(label == value) for value in (0, 1)]
    for _ in range(draws):
        drawn = np.concatenate([rng.choice(own, own.size) for own in classes])
        for number in range(fold.max() + 1):
            own = drawn[fold[drawn] == number]
            roc_auc_score(label[own], scores.score[own])
            average_precision_score(label[own], scores.score[own])


def both_areas(scores: Scores, draws: int = DRAWS) -> None:
    """Both areas with bootstrap intervals, by the library."""
    roc_auc_estimate(scores, interval="bootstrap", resamples=draws)
    pr_auc_estimate(scores, resamples=draws)


def table() -> dict[str, float]:
    """The table of a large study."""
    rows = [made_up(CASES, MALIGNANT, FOLDS, seed) for seed in range(ROWS)]
    return {
        "rarelesion, bootstrap of both areas": seconds(lambda: [both_areas(row) for row in rows]),
        "rarelesion, as a study makes it (DeLong, bootstrap)": seconds(
            lambda: [(roc_auc_estimate(row), pr_auc_estimate(row)) for row in rows]
        ),
        f"loop over scikit-learn, {LOOP_DRAWS} draws of 1 row, scaled": seconds(
            lambda: loop_over_scikit_learn(rows[0], LOOP_DRAWS)
        )
        * (ROWS * DRAWS / LOOP_DRAWS),
    }


def single(peer_python: str | None) -> dict[str, float | str]:
    """One row without folds, ours and others'."""
    row = made_up(CASES, MALIGNANT, 1, seed=0)
    found: dict[str, float | str] = {
        "rarelesion, DeLong": seconds(lambda: roc_auc_estimate(row)),
        "rarelesion, ROC-AUC bootstrap": seconds(lambda: roc_auc_estimate(row, interval="bootstrap")),
        "rarelesion, PR-AUC bootstrap": seconds(lambda: pr_auc_estimate(row)),
    }
    given = json.dumps({"label": row.label.tolist(), "score": row.score.tolist(), "draws": DRAWS, "runs": RUNS})
    for name, work in PEERS.items() if peer_python else ():
        command = [str(peer_python), "-c", TIMED_PEER.replace("{work}", work)]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        found[name] = float(lines[-1]) if done.returncode == 0 else f"failed: {lines[-1]}"
    return found


def peak_bytes(work: Callable[[], Any]) -> int:
    """The most memory held at a time during the work, beyond what was held before."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def memory() -> list[dict[str, float]]:
    """How memory grows with the cases."""
    found = []
    for cases in MEMORY_CASES:
        row = made_up(cases, cases // 10, 1, seed=0)
        work = {
            "delong": lambda row=row: roc_auc_estimate(row),
            "bootstrap": lambda row=row: both_areas(row, MEMORY_DRAWS),
        }
        peaks = {f"{name}_bytes_a_case": peak_bytes(each) / cases for name, each in work.items()}
        found.append({"cases": cases, **peaks})
    return found


def show(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [f"{ROWS} rows, {CASES} cases in {FOLDS} folds, {DRAWS} draws\n", "| | seconds |", "| --- | --- |"]
    lines += [f"| {name} | {value:.2f} |" for name, value in result["table_s"].items()]
    lines += ["", f"One row of {CASES} cases without folds\n", "| | seconds |", "| --- | --- |"]
    for name, value in result["single_s"].items():
        lines.append(f"| {name} | {value if isinstance(value, str) else f'{value:.3f}'} |")
    lines += ["", f"DeLong of {DELONG_CASES} cases: {result['delong_s']:.2f} s", ""]
    lines += ["| cases | DeLong, bytes a case at most | bootstrap, bytes a case at most |", "| --- | --- | --- |"]
    for row in result["memory"]:
        lines.append(f"| {row['cases']:.0f} | {row['delong_bytes_a_case']:.0f} | {row['bootstrap_bytes_a_case']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="a Python that can import confidenceinterval and MLstatkit")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    large = made_up(DELONG_CASES, DELONG_CASES // 10, 1, seed=0)
    result = {
        "table_s": table(),
        "single_s": single(arguments.peer_python),
        "delong_s": seconds(lambda: roc_auc_estimate(large)),
        "memory": memory(),
    }
    print(json.dumps(result, indent=2) if arguments.json else show(result))


if __name__ == "__main__":
    main()
