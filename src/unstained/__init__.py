"""Label-free single-cell phenotyping as a platform."""

import os

__version__ = "0.1.0"

# From 1.29 on, onnxruntime reports to its maker who runs which graph, unless this is set before the
# first import. A lab's machine tells nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
