"""How long a whole study takes, and how much memory: the proposed row, all sixteen, and what comes after.

    python benchmarks/whole_study.py OUT_FOLDER --weights textures

makes the synthetic cohort of 245 cases, runs `vgg16+texture+l2+lof` and then all sixteen trained rows on one split with
the settings as they are (100 x 100, profile fast, stopping rule as in the paper), `evaluate` and `report` on the result
and the commands that should start at once, and prints seconds and peak memory (resident, all processes together) as a
table. With `--weights textures` the studies also make their own starting weights, as they would without a network.
Linux only. Let nothing else run on the machine.
"""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

from rarelesion.demo import PAPER_CASES
from rarelesion.synthetic import make_cohort

COMMAND = [sys.executable, "-m", "rarelesion"]
STARTS = (["--help"], ["check", "--help"], ["evaluate", "--help"], ["report", "--help"])


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", action="append", default=[], help="as for `rarelesion study`; may be repeated")
    parser.add_argument("--epochs", type=int, help="the most epochs; the default is the profile's")
    arguments = parser.parse_args()
    cohort = cohort_in(arguments.out / "cohort")
    options = ["--folds", "1", *(word for weights in arguments.weights for word in ("--weights", weights))]
    options += [] if arguments.epochs is None else ["--epochs", str(arguments.epochs)]
    one, all_rows = arguments.out / "one", arguments.out / "all"
    rows = {
        "`study`, vgg16+texture+l2+lof": ["study", cohort, "--out", one, "--recipes", "vgg16+texture+l2+lof", *options],
        "`study`, all sixteen rows": ["study", cohort, "--out", all_rows, *options],
        "`evaluate` of all rows": ["evaluate", all_rows / "scores.csv"],
        "`report` of all rows": ["report", all_rows],
    } | {f"`{' '.join(words)}`": words for words in STARTS}
    print("| | seconds | peak memory, GB |\n| --- | ---: | ---: |")
    for name, words in rows.items():
        seconds, gigabytes = measured([*COMMAND, *map(str, words)])
        print(f"| {name} | {seconds:.1f} | {gigabytes:.2f} |", flush=True)


def cohort_in(folder: Path) -> Path:
    """The demonstration's cohort of 245 cases."""
    if not (folder / "cohort.csv").exists():
        make_cohort(folder, *PAPER_CASES, seed=0)
    return folder / "cohort.csv"


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and the most memory its processes held together, in GB."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = [0.0]

    def look() -> None:
        while process.poll() is None:
            most[0] = max(most[0], sum(resident(number) for number in family(process.pid)))
            time.sleep(0.2)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    if process.wait():
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    watcher.join()
    return time.perf_counter() - begin, most[0] / 1e6


def family(parent: int) -> list[int]:
    """A process and all that descend from it."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    found = children.read_text(encoding="ascii").split() if children.exists() else []
    return [parent, *(number for child in found for number in family(int(child)))]


def resident(number: int) -> float:
    """Kilobytes of memory a process holds that no other shares: what it wrote, not what it maps from files."""
    try:
        lines = Path(f"/proc/{number}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return float(next((line.split()[1] for line in lines if line.startswith("RssAnon")), 0))


if __name__ == "__main__":
    main()
