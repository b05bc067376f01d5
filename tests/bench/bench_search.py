"""Benchmark: what the executor of a search costs, trials without work of their own.

python -m tests.bench.bench_search
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.bench.table import Row, show
from tests.learning.tuning_process import bowl_search
from unstained.learning.tuning import search


def seconds(executor: str, trials: int) -> float:
    """Wall time of one search whose trials last no time."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        search(bowl_search(executor, Path(folder), trials))
        return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4)
    trials = parser.parse_args().trials
    inline, on_ray = seconds("inline", trials), seconds("ray", trials)
    how = f"{on_ray:.1f} s against {inline:.2f} s for {trials} trials"
    show("search: Ray Tune / inline", [Row("trials without work", on_ray / inline, None, how)])


if __name__ == "__main__":
    main()
