"""Populations of a .daf, binary and of version 6.0."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.data.cif_writer import Analysis, random_objects, write_cif, write_daf, write_population
from tests.data.test_cif import PHASE, read, study
from unstained.config.study import CifParams
from unstained.data.readers.amnis.daf import read_daf
from unstained.data.store.blocks import Cell
from unstained.errors import SourceError

COUNT = 8
AREA = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, float("nan")]
ASPECT = [0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6]
REGIONS = {
    "R1": ("line", [(55.0, 0.0), (20.0, 0.0)], {}),
    "R2": ("rect", [(20.0, 0.85), (60.0, 0.25)], {"xlogrange": "1000"}),
    "R3": ("poly", [(0.0, 0.0), (80.0, 0.0), (80.0, 0.8)], {"xlogrange": "P", "ylogrange": "P"}),
    "R4": ("poly", [(0.0, 0.0), (80.0, 0.0), (80.0, 0.8)], {"xlogrange": "1000"}),
    "R5": ("oval", [(0.0, 0.0), (80.0, 0.8)], {}),
}
POPULATIONS: list[Mapping[str, object]] = [
    {"name": "All", "type": "B", "base": ""},
    {"name": "tagged", "type": "T", "base": "All", "ob": [0, 3, 5]},
    {"name": "long", "type": "G", "base": "All", "region": "R1", "fx": "Area"},
    {"name": "boxed", "type": "G", "base": "All", "region": "R2", "fx": "Area", "fy": "Aspect"},
    {"name": "below", "type": "G", "base": "long", "region": "R3", "fx": "Area", "fy": "Aspect"},
    {"name": "curved", "type": "G", "base": "All", "region": "R4", "fx": "Area", "fy": "Aspect"},
    {"name": "round", "type": "G", "base": "All", "region": "R5", "fx": "Area", "fy": "Aspect"},
    {"name": "lost", "type": "G", "base": "All", "region": "R9", "fx": "Area"},
    {"name": "joined", "type": "C", "base": "All", "definition": "tagged|Or|Not|long|And|boxed"},
    {"name": "nested", "type": "C", "base": "long", "definition": "Not|(|tagged|Or|boxed|)"},
    {"name": "open", "type": "C", "base": "All", "definition": "(|tagged"},
    {"name": "circular", "type": "C", "base": "All", "definition": "Not|circular"},
]
EXPECTED = {
    "All": [0, 1, 2, 3, 4, 5, 6, 7],
    "tagged": [0, 3, 5],
    "long": [1, 2, 3, 4],
    "boxed": [3, 4, 5],
    "below": [2, 4],
    "joined": [0, 3, 5],
    "nested": [1, 2],
}


@pytest.fixture(params=[True, False], ids=["binary", "xml"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A .cif, its analysis, and the analysis of another file."""
    places = write_cif(tmp_path / "x.cif", random_objects(range(COUNT)))
    features = {"Area": AREA, "Aspect": ASPECT}
    write_daf(tmp_path / "x.daf", Analysis(places, POPULATIONS, REGIONS, features), request.param)
    other = Analysis([place + 8 for place in places], POPULATIONS[:1], {}, features)
    write_daf(tmp_path / "z.daf", other, request.param)
    return tmp_path


def test_populations_are_computed_again(source: Path) -> None:
    analysis = read_daf(source / "x.daf")
    assert {name: analysis.objects(name).tolist() for name in EXPECTED} == EXPECTED
    for name, reason in (
        ("curved", "drawn as poly on axes 1000"),
        ("round", "drawn as oval"),
        ("lost", "'R9', which is missing"),
        ("open", "bracket"),
        ("circular", "rests on 'circular'"),
        ("unheard of", "rests on 'unheard of'"),
    ):
        with pytest.raises(SourceError, match=reason):
            analysis.objects(name)


def test_polygons_against_a_slow_rule() -> None:
    from unstained.data.readers.amnis.gates import _in_polygon

    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [4, 1], [5, 5], [2, 2.5], [1, 5]], float)
    x, y = rng.uniform(-1, 6, (2, 500))
    angles = [
        sum(
            np.angle(complex(*(b - p)) / complex(*(a - p)))
            for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)
        )
        for p in np.stack([x, y], axis=1)
    ]
    assert _in_polygon(x, y, corners).tolist() == [abs(angle) > 1 for angle in angles]


def told(source: Path, **changes: object) -> dict[int, object]:
    found, refused = read(study(PHASE, **changes), source)
    assert not refused
    return {c.object_index: c.told["label"] for c in found if isinstance(c, Cell)}


def test_classes_by_an_analysis(source: Path) -> None:
    named = CifParams(populations={"G1": "^nested$", "S": "^tagged$"})
    known = {0: "S", 1: "G1", 2: "G1", 3: "S", 5: "S"}
    assert told(source, cif=named) == {k: known.get(k) for k in range(COUNT)}
    write_population(source / "tagged.txt", [0, 3, 5])
    assert told(source, cif=named) == {k: known.get(k) for k in range(COUNT)}
    write_population(source / "tagged.txt", [0, 3])
    with pytest.raises(SourceError, match=r"tagged.txt and .*x.daf tell .*'tagged' otherwise"):
        told(source, cif=named)


def test_an_analysis_of_another_file_is_refused(source: Path) -> None:
    (source / "x.daf").unlink()
    write_population(source / "G1.txt", [0])
    write_population(source / "S.txt", [1])
    assert told(source)[0] == "G1"
    (source / "z.daf").rename(source / "x.daf")
    with pytest.raises(SourceError, match=r"x.daf is no analysis of x.cif"):
        told(source)


def test_an_analysis_that_ends_early_is_refused(source: Path) -> None:
    path = source / "x.daf"
    content = path.read_bytes()
    sizes = [0, 100, len(content) // 2]
    if b'binaryfeatures="True"' in content:
        sizes += [content.index(b"</Assay>") + size for size in (9, 20, 100, 180, 400)]
    for size in sizes:
        path.write_bytes(content[:size])
        with pytest.raises(SourceError, match=r"x.daf: is no readable .daf"):
            read_daf(path)
    path.write_bytes(content.replace(b'O="3"', b'O="three"'))
    with pytest.raises(SourceError, match="three"):
        read_daf(path)
    path.write_bytes(content.replace(b'objcount="8"', b'objcount="9"'))
    with pytest.raises(SourceError, match="of 8 objects, and promises others"):
        read_daf(path)
