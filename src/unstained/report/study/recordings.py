"""Acquisitions beside each other: a strip a measure, and cells of those that stand out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from unstained.data.audit.acquisition_measures import in_words
from unstained.data.canvas import Canvases, load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.imaging.evidence import png
from unstained.imaging.pictures import Floats, Picture, grey_picture, in_rows, panels
from unstained.report.page import (
    Block,
    Card,
    Cell,
    Gallery,
    Plots,
    Section,
    Table,
    Text,
    png_picture,
    svg_picture,
)
from unstained.report.prose import Prose
from unstained.report.strips import Strip, strip_panel

PROSE = Prose(__name__)

MOST_SHOWN: Final = 4
"""Acquisitions that stand out of which cells are shown."""
MOST_LISTED: Final = 20
WIDTH: Final = 128
PANEL: Final = 298


def acquisitions_section(
    audit: Mapping[str, Any], store: CellStore, canvas: int, *, of_many: bool = False
) -> Section:
    """The section on acquisitions.

    Args:
        audit: content of audit.json.
        store: the cells that it audited.
        canvas: the study's, side in pixels.
        of_many: whether a picture shows many cells, as snippets of movies do.
    """
    found = audit["acquisitions"]
    blocks: list[Block] = []
    if found["measures"]:
        blocks.append(_strips(found, of_many))
    else:
        blocks.append(Text((PROSE("acquisitions_few", count=found["acquisitions"]),)))
    if found["outliers"]:
        blocks.append(_table(found))
        shown = found["outliers"][:MOST_SHOWN]
        blocks += [_gallery(outlier, store, canvas) for outlier in shown]
    return Section(
        "acquisitions",
        "Acquisitions beside each other",
        "Acquisitions",
        PROSE("acquisitions_lead", outliers=len(found["outliers"])),
        tuple(blocks),
    )


def _strips(found: Mapping[str, Any], of_many: bool) -> Plots:
    labels = found["labels"]
    kinds = sorted(set(labels.values()))
    pictures = []
    for measure, rows in found["measures"].items():
        turn = rows[0]["high"] is None
        limits = np.array([(row["low"], np.inf if turn else row["high"]) for row in rows])
        strip = Strip(
            in_words(measure),
            tuple(name or ("not known" if any(kinds) else "all") for name in kinds),
            tuple(kinds.index(labels[row["acquisition"]]) for row in rows),
            np.array([row["factor"] for row in rows], float),
            tuple(row["acquisition"] if row["out"] else "" for row in rows),
            (float(np.median(limits[:, 0])), float(np.median(limits[:, 1]))),
            logarithmic=not turn,
        )
        out = [name for name in strip.names if name]
        alt = PROSE("strip_alt", measure=in_words(measure), count=len(rows), out=", ".join(out))
        pictures.append(svg_picture(strip_panel(strip), alt, PANEL))
    caption = PROSE(
        "strips_caption",
        how=found["how"],
        acquisitions=found["acquisitions"],
        inside=found["compared"],
        of_many=of_many,
    )
    return Plots(caption, tuple(pictures))


def _table(found: Mapping[str, Any]) -> Table:
    """Acquisitions that stand out, and how far in each measure."""
    measures = found["measures"]
    factors = {
        (measure, row["acquisition"]): row for measure, rows in measures.items() for row in rows
    }
    outliers = found["outliers"][:MOST_LISTED]
    rows = []
    for outlier in outliers:
        name = outlier["acquisition"]
        cells = [_factor(factors.get((measure, name))) for measure in measures]
        rows.append((Cell(name, outlier["label"]), *cells))
    note = PROSE("outliers_note", more=len(found["outliers"]) - len(outliers))
    columns = ("", *map(in_words, measures))
    return Table(PROSE("outliers_caption"), columns, tuple(rows), note)


def _factor(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return Cell("–")
    text = f"{row['factor']:.2g}".replace("-", "−")
    return Cell(text, shade=0.6 if row["out"] else None, strong=row["out"])


def _gallery(outlier: Mapping[str, Any], store: CellStore, canvas: int) -> Gallery:
    """Cells of an acquisition that stands out, then of an ordinary one, in one grey scale."""
    ids = [*outlier["cells"], *outlier["typical"]]
    places = {name: row for row, name in enumerate(store.columns("cell_id")["cell_id"])}
    canvases = load_canvases(store, [places[name] for name in ids], canvas)
    pictures = [_counts(canvases, store)]
    if not store.axes.colour:
        pictures.append(_contrast(canvases))
    cards = []
    for at, name in enumerate(ids):
        odd = at < len(outlier["cells"])
        whose = outlier["acquisition"] if odd else outlier["beside"]
        said = "stands out" if odd else "ordinary"
        shown = tuple(
            png_picture(png(each[at]), f"Cell of {whose}, {said}", WIDTH * panels(each[at], canvas))
            for each in pictures
        )
        cards.append(Card(shown, f"{whose}, {said}", name, "caution" if odd else "neutral"))
    caption = PROSE("odd_cells", name=outlier["acquisition"], beside=outlier["beside"])
    return Gallery(caption, tuple(cards), PROSE("odd_cells_note", colour=store.axes.colour))


def _counts(canvases: Canvases, store: CellStore) -> list[Picture]:
    """Counts of all cells in one grey scale; colour as it is."""
    counts = canvases.counts.numpy().astype(np.float64)
    if store.axes.colour:
        frames = np.moveaxis(store.axes.unfold(counts), 2, -1)
        limits = (0.0, float(store.white or counts.max()))
        return [grey_picture(in_rows(cell), limits) for cell in frames]
    return _in_one_scale(counts, canvases)


def _contrast(canvases: Canvases) -> list[Picture]:
    """Counts over background of all cells in one grey scale."""
    return _in_one_scale(canvases.contrast(slice(None), 1.0).numpy().astype(np.float64), canvases)


def _in_one_scale(values: Floats, canvases: Canvases) -> list[Picture]:
    """Planes in rows, each plane in one grey scale over all cells, (N, P, S, S)."""
    inside = np.broadcast_to(canvases.valid(slice(None)).numpy(), values.shape)
    squares: list[list[Picture]] = [[] for _ in values]
    for plane in range(values.shape[1]):
        low, high = np.percentile(values[:, plane][inside[:, plane]], [0.2, 99.8])
        for cell_squares, cell in zip(squares, values[:, plane], strict=True):
            cell_squares.append(grey_picture(cell, (float(low), float(max(high, low + 1e-6)))))
    return [in_rows(np.stack(cell_squares)) for cell_squares in squares]
