"""How often the monitor rings, with and without cause, for new cells without labels.

`python -m tests.bench.bench_monitor` prints, of 30 simulated draws each, how many ring for images:
for another mix of classes alone (false alarms), and for images moved by one standard deviation.
"""

from __future__ import annotations

from tests.evaluation.test_drift_basis import EVEN, OTHER, compared, study
from unstained.evaluation.drift import Sample, compare_samples

DRAWS = 30


def main() -> None:
    """Measure and print."""
    print("tested groups, new groups: false alarms, true alarms; within predicted classes: false")
    for tested_pure, new_pure in ((True, True), (True, False), (False, False)):
        false, found, naive = 0, 0, 0
        for seed in range(DRAWS):
            tested = study(seed, "old", EVEN, pure=tested_pure)
            mixed = study(seed, "mix", OTHER, pure=new_pure)
            moved = study(seed, "moved", OTHER, pure=new_pure, shift=1.0)
            false += bool(compared(tested, mixed).drifted("images"))
            found += bool(compared(tested, moved).drifted("images"))
            pair = [Sample({"x": x}, c.groups, c.predicted) for c, x in (tested, mixed)]
            rung = compare_samples(*pair, permutations=99, alpha=0.05, least=0.1, seed=1)
            naive += bool(rung.drifted("images"))
        kinds = ["one class" if pure else "mixed" for pure in (tested_pure, new_pure)]
        print(f"{kinds[0]}, {kinds[1]}: {false}, {found}; {naive}")


if __name__ == "__main__":
    main()
