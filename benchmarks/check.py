"""How long `rarelesion check` takes on a synthetic MR cohort, and how its memory grows with the cases.

python benchmarks/check.py [--cases 245] [--folder FOLDER]
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rarelesion.checks import check_file
from rarelesion.settings import Settings
from rarelesion.synthetic import make_cohort


def peak_mib() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(table: Path) -> None:
    """Check a cohort once and print what it cost."""
    marks: dict[int, float] = {}
    began, computed = time.perf_counter(), time.process_time()

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "Reading images" and done in (total // 4, total):
            marks[done] = peak_mib()

    findings = check_file(table, Settings(), progress)
    wall, cpu = time.perf_counter() - began, time.process_time() - computed
    print(f"{wall:.1f} s, {cpu:.1f} s of one core; {len(findings)} findings, {peak_mib():.0f} MiB at most")
    print("; ".join(f"{mib:.0f} MiB after {cases} cases" for cases, mib in marks.items()))


def main() -> None:
    """Make the cohort where there is none, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=245)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        table = folder / "cohort.csv"
        if not table.exists():
            malignant = round(options.cases * 55 / 245)
            make_cohort(folder, options.cases - malignant, malignant)
        measure(table)


if __name__ == "__main__":
    main()
