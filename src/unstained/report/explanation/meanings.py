"""What each measure of an explanation means, in a sentence."""

from __future__ import annotations

from unstained.config.explain import ExplainParams
from unstained.explain.results import Explained
from unstained.report.numbers import percent
from unstained.report.page import Definitions, Section


def meanings_section(found: Explained, params: ExplainParams) -> Section:
    """The section; numbers in it are the parameters' own."""
    inside = f"{params.pointing_tolerance_px:g} pixels"
    items = (
        (
            "map",
            "Grad-CAM of the class that the network called: how much each place of an image raises "
            "that class, without the rectifier, so that evidence against it counts as negative.",
        ),
        (
            "insertion",
            "Pixels are put into an empty image, highest evidence first: the area under the "
            "probability of the called class, which is large for a map that names what matters.",
        ),
        (
            "deletion",
            "Pixels are replaced by background, highest evidence first: the same area, which is "
            "small for a map that names what matters.",
        ),
        (
            "lift",
            "How many times as dense positive evidence is inside the cell's mask as an even spread "
            "would be; 1 is no preference for the cell.",
        ),
        (
            "pointing game",
            f"Share of cells where the map's peak lies within {inside} of the cell's mask.",
        ),
        (
            "randomisation",
            "Weights are shuffled layer by layer from the head down: a map of what was learnt must "
            "stop being like the intact one.",
        ),
        (
            "stability",
            "The cell is turned and mirrored: a map should turn with it.",
        ),
        (
            "controls",
            "Maps that know nothing of the network, ordered by the same rule: pixels in random "
            "order, a Gaussian around the middle of the image (where cells lie), and the pixels' "
            "own contrast against the background.",
        ),
        (
            "intervals",
            f"{percent(found.confidence)}, from resampling whole groups, not cells.",
        ),
    )
    lead = "Every measure in a sentence."
    return Section("meaning", "What is measured", "Measures", lead, (Definitions(items),))
