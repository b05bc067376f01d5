"""How many threads a container may really use.

The processors that a machine shows are not the ones that a pod may keep busy: with more threads
than its quota, the kernel stops all of them for the rest of each period.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")


def thread_count(cgroups: Path = CGROUPS) -> int:
    """Processors that this process may use: its affinity, or its CPU quota where that is less.

    A quota of 1.5 processors gives two threads.

    Args:
        cgroups: where the kernel tells the quota, of version 2 or 1.
    """
    available = len(os.sched_getaffinity(0))
    quota = _quota(cgroups)
    return available if quota is None else max(1, min(available, math.ceil(quota)))


def _quota(cgroups: Path) -> float | None:
    """Processors allowed by the control group, None where it sets no limit."""
    try:
        limit, period = (cgroups / "cpu.max").read_text().split()
    except OSError:
        version1 = cgroups / "cpu"
        try:
            limit = (version1 / "cpu.cfs_quota_us").read_text().strip()
            period = (version1 / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return None if limit in ("max", "-1") else int(limit) / int(period)
