"""What the CG-RecNet paper prints, and where it contradicts itself.

Numbers are quoted from its Tables 3 to 5 to stand beside our own, marked as the paper's. They were
measured on other cells under another split: no difference between the two columns is a finding.
"""

from __future__ import annotations

from typing import Final

MEASURES: Final = ("accuracy", "weighted_precision", "weighted_recall", "weighted_f1")
"""The paper's four columns. Its averages are weighted by class size: its recall is its accuracy."""

TABLE_3: Final[dict[str, tuple[str, ...]]] = {
    "cg_recnet": ("96.40 ± 0.07", "96.38 ± 0.19", "96.40 ± 0.06", "96.39 ± 0.05", "28.02", "8.40"),
    "rescmnet": ("96.32 ± 0.11", "96.29 ± 0.15", "96.32 ± 0.09", "96.30 ± 0.07", "27.69", "8.19"),
    "resgdnet": ("95.63 ± 0.08", "95.58 ± 0.25", "95.63 ± 0.05", "95.60 ± 0.06", "25.89", "7.73"),
    "resnet50": ("94.58 ± 0.08", "94.50 ± 0.19", "94.58 ± 0.12", "94.47 ± 0.07", "25.51", "6.13"),
}
"""Architecture -> accuracy, precision, recall, F1 (per cent), parameters (millions), GFLOPs."""

TABLE_4: Final[dict[str, tuple[str, ...]]] = {
    "cg_recnet": TABLE_3["cg_recnet"][:4],
    "mobilenet_v2": ("96.07 ± 0.12", "96.03 ± 0.15", "96.07 ± 0.10", "96.04 ± 0.09"),
    "densenet121": ("96.04 ± 0.14", "96.01 ± 0.18", "96.04 ± 0.11", "96.02 ± 0.10"),
    "vgg16": ("95.82 ± 0.18", "95.77 ± 0.22", "95.82 ± 0.15", "95.78 ± 0.14"),
    "vit_b_16": ("94.27 ± 0.25", "94.17 ± 0.30", "94.27 ± 0.22", "94.18 ± 0.21"),
}

TABLE_5: Final[dict[str, dict[str, str]]] = {
    "astrocyte": {
        "vit_b_16": "95.80",
        "vgg16": "97.82",
        "densenet121": "98.13",
        "mobilenet_v2": "98.15",
        "resnet50": "97.40",
        "cg_recnet": "98.34",
    },
    "oligodendrocyte": {
        "vit_b_16": "81.15",
        "vgg16": "85.12",
        "densenet121": "86.45",
        "mobilenet_v2": "87.20",
        "resnet50": "83.81",
        "cg_recnet": "89.75",
    },
    "neuron": {
        "vit_b_16": "94.60",
        "vgg16": "96.10",
        "densenet121": "96.33",
        "mobilenet_v2": "96.55",
        "resnet50": "95.53",
        "cg_recnet": "96.99",
    },
}
"""Class -> architecture -> F1 (per cent)."""

INCONSISTENCIES: Final[tuple[tuple[str, str], ...]] = (
    (
        "Baseline of 25.51 M parameters",
        "The other three counts add up only for 25.56 M, a ResNet50 with a 1000-way layer; with "
        "three classes it has 23,514,179. We count each network as it is built here.",
    ),
    (
        "GFLOPs of 6.13, 7.73, 8.19, 8.40",
        "They are not additive, and ResNet50 at 224 pixels takes 4.09 G multiply-accumulates. We "
        "publish our own count and name the tool.",
    ),
    (
        "Which module has 0.33 M and which 2.13 M parameters",
        "The default public modules reproduce the three counts with the rows of ResCMNet and "
        "ResGDNet exchanged; then the gate, not the attention, would give the gain. Presets "
        "table_printed and table_swapped build both readings; the ablation below decides.",
    ),
    (
        "StepLR in the text, ReduceLROnPlateau in Table 2",
        "With StepLR the learning rate is 1e-7 after 21 epochs. We follow Table 2; StepLR is an "
        "option.",
    ),
    (
        "100 epochs, and early stopping",
        "At most 100 epochs; training ends after `train.patience` epochs without a better "
        "validation loss.",
    ),
    (
        "Division by 225.0 in Algorithm 1",
        "A misprint for 255, and done twice: preprocessing here is inside the graph, once.",
    ),
    (
        "A random flip inside the preprocessing that evaluation shares",
        "Evaluation has no random step; augmentation happens in training alone.",
    ),
    (
        "A flip for rotational invariance",
        "A flip is no rotation: we use the dihedral group, flips and quarter turns.",
    ),
    (
        "A 70/15/15 split, five folds, three seeds",
        "One test part is fixed; folds and seeds vary on the rest, and their variances are "
        "reported apart.",
    ),
    (
        "p < 0.001 by a t-test over folds",
        "Folds share training cells. The corrected resampled t-test and tests on the fixed test "
        "cells are used, adjusted for the number of pairs. From the printed means and standard "
        "deviations, CG-RecNet and ResCMNet cannot be told apart.",
    ),
    (
        "Standard deviations of 0.05 to 0.12 per cent",
        "Chance alone on 31,134 test cells gives 0.11 per cent for an accuracy of 96.4. Intervals "
        "over test acquisitions stand beside every mean.",
    ),
    (
        "Tables 4 and 5 disagree",
        "The class F1 values of Table 5, weighted by support, give 93.13, 95.10, 95.49 and 95.73 "
        "for ViT, VGG, DenseNet and MobileNetV2, not the 94.18 to 96.04 of Table 4.",
    ),
    (
        "Recall equal to accuracy",
        "The printed averages are weighted by class size. We give weighted and macro averages, "
        "named.",
    ),
    (
        "92.3 per cent quoted for Xception",
        "It was measured on other cells. Xception is trained here on the same split.",
    ),
    (
        "Labels called immunofluorescence-validated",
        "A cell's label is the medium of its culture: labels are treatment-derived.",
    ),
    (
        "Leakage called strictly prevented",
        "Cells of one culture were on both sides of a random split. Our split holds whole "
        "acquisitions out.",
    ),
    (
        "Crops of any size resized to 256 and cut to 224",
        "That removes the size of a cell and its border. Cells here are padded, never rescaled.",
    ),
)
"""(what the paper says, what is done here)."""
