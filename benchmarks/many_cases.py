"""How long the plain functions take on very many cases, and how much memory at the most.

python benchmarks/many_cases.py 1000000 10000000
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rarelesion import auc, compare_aucs, operating_point


def main() -> None:
    """Print a table, the small numbers first; memory is the most so far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=int, nargs="+")
    print('| cases | `auc` s | with `curve="pr"` s | `compare_aucs` s | `operating_point` s | GB |')
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for n in sorted(parser.parse_args().cases):
        rng = np.random.default_rng(0)
        label = (rng.random(n) < 0.1).astype(int)
        score = rng.normal(size=n) + label
        other = score + rng.normal(size=n)
        seconds = [
            _seconds(auc, label, score),
            _seconds(auc, label, score, curve="pr"),
            _seconds(compare_aucs, label, score, other),
            _seconds(operating_point, label, score, threshold=1.0),
        ]
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"| {n} | {' | '.join(f'{one:.1f}' for one in seconds)} | {gigabytes:.1f} |", flush=True)


def _seconds(function: Callable[..., Any], *arguments: Any, **options: Any) -> float:
    begin = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
