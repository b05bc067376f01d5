"""How often the monitor rings, with and without cause, for new cells without labels.

`python -m tests.bench.bench_monitor` prints, of 30 simulated draws each, how many ring for images:
for another mix of classes alone (false alarms), and for images moved by one standard deviation.
"""

from __future__ import annotations

from tests.evaluation.test_drift_basis import alarms

DRAWS = 30


def main() -> None:
    """Measure and print."""
    print("tested groups, new groups: false alarms, true alarms; within predicted classes: false")
    for tested_pure, new_pure in ((True, True), (True, False), (False, False)):
        drawn = [alarms(seed, tested_pure=tested_pure, new_pure=new_pure) for seed in range(DRAWS)]
        false, found, naive = (sum(column) for column in zip(*drawn, strict=True))
        kinds = ["one class" if pure else "mixed" for pure in (tested_pure, new_pure)]
        print(f"{kinds[0]}, {kinds[1]}: {false}, {found}; {naive}")


if __name__ == "__main__":
    main()
