"""Texts about cells of `cells.py`, truthful and not; a line a text, behind the cell's name.

| file | texts |
|---|---|
| truthful.txt | true, in other words than the template's, written while the check was made |
| held_out.txt | true, written afterwards; the check was not changed for them |
| attacks.txt | false, or advice; after the cell's name why they are refused |
| allowed_words.txt | false, of allowed words, names and numbers alone; 50 passed when first tried |
"""

from __future__ import annotations

from pathlib import Path

SIGNS = [
    ("class", "The model predicts a gr\u0430nulocyte."),  # Cyrillic a
    ("characters", "The model predicts a granulo\u200bcyte."),
    ("characters", "The model predicts a granulocyte.\u202e"),
    ("characters", "The model predicts a granulocyte with a probability of \uff19\uff13 %."),
    ("characters", "The model predicts a granulocyte.\x00"),
    ("length", ""),
    ("length", "The model predicts a granulocyte. " * 50),
]
"""Signs that look like others, are not seen, or are too few or many: kind and text."""


def texts(name: str) -> list[tuple[str, ...]]:
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split(" | ")) for line in lines]
