"""Benchmark e: `unstained --help` and `import unstained` against bare Python.

python -m tests.bench.bench_cli
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.table import Row, show


def best(words: list[str], repeats: int) -> float:
    """Shortest wall time of a command, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    python = best([sys.executable, "-c", "pass"], repeats)
    rows = []
    for name, words in {
        "import unstained": [sys.executable, "-c", "import unstained"],
        "unstained --help": [str(Path(sys.executable).with_name("unstained")), "--help"],
    }.items():
        taken = best(words, repeats)
        how = f"{1000 * taken:.0f} ms against {1000 * python:.0f} ms"
        rows.append(Row(name, taken / python, None, how))
    show("(e) start-up: command / bare Python", rows)


if __name__ == "__main__":
    main()
