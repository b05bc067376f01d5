"""What the mixtures' paper prints (Pai 2016, arXiv:1611.08353), and what must be read beside it.

Numbers are quoted to stand beside our own. They are of real movies, one a proportion, whose
snippets were divided at random: no difference between the paper's columns and ours is a finding.
"""

from __future__ import annotations

from typing import Final

PARTS: Final = frozenset({"muscle", "fibroblast"})
"""Of the proportion that the paper predicts."""

Printed = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Loss and accuracy of test, validation and training snippets."""

TABLE_1: Final[dict[str, tuple[str, Printed]]] = {
    "single_stream_l2_5e-4": ("λ = 0.0005", ((0.630, 0.789), (0.638, 0.79), (0.49, 0.91))),
    "single_stream_l2_5e-3": ("λ = 0.005", ((0.623, 0.792), (0.589, 0.81), (0.486, 0.92))),
    "single_stream_l2_5e-2": ("λ = 0.05", ((0.585, 0.813), (0.588, 0.816), (0.531, 0.87))),
}
"""Model of params.yaml -> how the row is called, and what is printed."""

TABLE_2: Final[dict[str, tuple[str, Printed]]] = {
    "single_stream_l2_5e-2": (
        "full, one stream",
        ((0.585, 0.813), (0.588, 0.816), (0.531, 0.87)),
    ),
    "differential_l2_5e-2": (
        "full, two streams",
        ((0.573, 0.820), (0.571, 0.819), (0.511, 0.89)),
    ),
    "single_stream_half": ("half, one stream", ((0.535, 0.862), (0.566, 0.850), (0.523, 0.88))),
    "differential_half": ("half, two streams", ((0.526, 0.870), (0.530, 0.884), (0.500, 0.90))),
}
"""The same. The text names no rows; they follow from table 1 and from the abstract."""

PAIRS: Final = (
    ("single_stream_l2_5e-2", "differential_l2_5e-2"),
    ("single_stream_half", "differential_half"),
)
"""One stream, and the same network with two."""

FLOOR: Final = 0.4465
"""Mean entropy in nats of proportions spread evenly over 0, 0.1 ... 1: no loss is lower."""

CONSTANT: Final = (0.6931, 0.7273)
"""Loss and accuracy of a constant 0.5 there."""

CAVEATS: Final[tuple[tuple[str, str], ...]] = (
    (
        "A loss of 0.526",
        "With proportions spread evenly the loss is at least 0.447, the entropy of the truth, and "
        "a constant 0.5 has 0.693. What the two streams gain over one there, 0.009, is a tenth of "
        "what is left above the floor.",
    ),
    (
        "An accuracy of 87 per cent",
        "It is 1 less the mean absolute error, which a constant 0.5 brings to 0.727.",
    ),
    (
        "Snippets divided at random",
        "One movie a proportion: who tells the movie by its light knows the answer. Here whole "
        "movies are held out, several a proportion.",
    ),
    (
        "Half resolution wins",
        "Images at half resolution showed four times the area. Here both show the same snippet, so "
        "that resolution alone differs.",
    ),
    (
        "One run of each network",
        "Here folds and seeds, and a test over movies.",
    ),
)
"""(what the paper says, what must be known of it or is done here)."""
