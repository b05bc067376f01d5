"""Run by Python before anything else where this directory is on PYTHONPATH: what a stage imports.

When `unstained run STAGE ...` ends, the names of the package's modules that it has imported are
written to UNSTAINED_TRACE/STAGE-PID.json.
"""

import atexit
import json
import os
import sys
from pathlib import Path


def write_modules() -> None:
    """Write the names; other programs than `unstained run` leave nothing."""
    if len(sys.argv) > 2 and sys.argv[1] == "run":
        names = sorted(name for name in sys.modules if name.partition(".")[0] == "unstained")
        place = Path(os.environ["UNSTAINED_TRACE"]) / f"{sys.argv[2]}-{os.getpid()}.json"
        place.write_text(json.dumps(names))


if "UNSTAINED_TRACE" in os.environ:
    atexit.register(write_modules)
