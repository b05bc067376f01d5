"""What the hybrid network's paper prints of BSCCM, and where it contradicts itself.

Numbers are quoted from its repository's tables to stand beside our own, marked as the paper's. They
were measured on other cells under another split: no difference between the columns is a finding.
"""

from __future__ import annotations

from typing import Final

CLASSES: Final = frozenset({"lymphocyte", "granulocyte", "monocyte"})

TABLE_2: Final[dict[str, tuple[str, str, str, str, str, str]]] = {
    "inception": ("InceptionNet", "84.3", "0.81", "0.82", "0.85", "0.708"),
    "plain_cnn": ("CNN", "85.2", "0.85", "0.85", "0.84", "0.681"),
    "resnet50": ("ResNet", "86.2", "0.86", "0.86", "0.86", "–"),
    "vgg16": ("VGG", "88.3", "0.87", "0.86", "0.88", "0.716"),
    "mobilenet_v2": ("MobileNetV2", "87.2", "0.88", "0.87", "0.89", "0.718"),
    "attention_cnn": ("AttentionCNN", "89.6", "0.90", "0.88", "0.89", "0.719"),
    "hybrid_paper": ("Ours", "91.3", "0.92", "0.91", "0.92", "0.726"),
}
"""Architecture -> printed name, accuracy (per cent), precision, recall, F1, r of CD16."""

MARKER: Final = "CD16"
"""The value whose r is printed."""

CARD: Final = ("0.726", "0.68")
"""r, and the root mean squared error in standard deviations that the model card adds to it."""

TABLE_3: Final[dict[str, tuple[str, str, str, int, int]]] = {
    "lymphocyte": ("1.000", "1.000", "1.000", 620, 6),
    "granulocyte": ("0.889", "1.000", "0.941", 1247, 61),
    "monocyte": ("1.000", "0.750", "0.857", 620, 4),
}
"""Class of stained cells -> precision, recall, F1, images of Kaggle's TEST, their photographs."""

ROUNDING: Final = 0.005
"""Half of the last printed digit of precision, recall and F1."""

INCONSISTENCIES: Final[tuple[tuple[str, str], ...]] = (
    (
        "About 12 M parameters and 0.8 GFLOPs",
        "The published network has 1,816,244 parameters and takes 0.157 G multiply-accumulates for "
        "an image of 28 pixels.",
    ),
    (
        "A learnable cross-branch gate",
        "The published fusion is two numbers, the same for every cell. hybrid_gated has a gate "
        "that depends on the cell; hybrid_paper is the network as published.",
    ),
    (
        "Protein expression of CD45, CD3, CD19 and CD14",
        "The four targets are CD123/HLA-DR/CD14, CD3/CD19/CD56, CD45 and CD16. The first two are "
        "sums of markers of one colour: no model can tell CD3 from CD19 by them.",
    ),
    (
        "Classes and CD16 predicted side by side",
        "Classes are gates on CD3, CD16 and CD45, so both are views of the same numbers. r within "
        "classes, and what the class alone tells of a marker, stand beside every r.",
    ),
    (
        "CD16 with r of 0.72, 0.726 and 0.73",
        "All three are printed. r was pooled over markers while training; ours is of each marker.",
    ),
    (
        "Random flips of each illumination by itself",
        "One move for all planes of a cell, and the directions of light change places with it.",
    ),
    (
        "Mixing of images without their proteins",
        "Images and all that is asked of them are mixed alike.",
    ),
    (
        "Oversampling, weighted sampling and class weights together",
        "One of them; means of markers are those of the cells as they are.",
    ),
    (
        "Cells of one slide in training and in test",
        "Whole groups are held out; the random split is an experiment beside it.",
    ),
    (
        "93.77 per cent on stained cells",
        "That is 2,332 of the 2,487 images of Kaggle's TEST folder, copies of 71 photographs, by "
        "which the code also chose its model. It is no benchmark.",
    ),
)
"""(what the paper or its code says, what is done here)."""
