"""The reader of Amnis .cif files, on files of the tests' own writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.cif_writer import Oddities, random_objects, write_cif, write_population
from tests.synthetic import tasks
from unstained.config.study import CifParams, StudyData
from unstained.data.readers import open_reader
from unstained.data.readers.amnis.directories import after
from unstained.data.readers.fluorescence import integrated_fluorescence
from unstained.data.readers.protocol import Outcome, Refused
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError, SourceError

PHASE = {"phase": {"kind": "classes", "names": ["G1", "S"]}}
TUBES = {"tube": {"kind": "classes", "rules": [{"name": "a", "pattern": "^a"},
                                               {"name": "b", "pattern": "^b"}]}}  # fmt: skip


def study(asked: Mapping[str, Any] = TUBES, **changes: Any) -> StudyData:
    """A study of the channel Ch1, read from .cif."""
    keys: dict[str, Any] = {
        "title": "cells", "question": "which?", "reader": "cif", "pixel_size_um": 0.5,
        "channels": ("Ch1",), "tasks": tasks(asked), "group": "acquisition", "canvas": 32,
    }  # fmt: skip
    return StudyData(**(keys | changes))


def read(data: StudyData, source: Path) -> tuple[list[Outcome], list[Refused]]:
    """Outcomes of all items, and what listing refused."""
    reader = open_reader(data, source)
    found: list[Outcome] = []
    refused: list[Refused] = []
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        refused += listing.refused
        found += reader.decode(acquisition, listing.items)
    return found, refused


def cells(data: StudyData, source: Path) -> list[Cell]:
    found, refused = read(data, source)
    assert not refused
    assert all(isinstance(one, Cell) for one in found)
    return [one for one in found if isinstance(one, Cell)]


@pytest.mark.parametrize(
    "odd",
    [Oddities(), Oddities(compressed=False), Oddities(compressed=False, signed=True),
     Oddities(padding=13), Oddities(channel_width=0)],
    ids=["compressed", "plain", "plain and signed", "padded with a nibble that goes on",
         "no width of a channel"],
)  # fmt: skip
def test_pixels_masks_numbers_and_markers_come_back(tmp_path: Path, odd: Oddities) -> None:
    written = random_objects([7, 3, 250], channels=3)
    write_cif(tmp_path / "day 1" / "a_tube.cif", written, odd)
    data = study(channels=("Ch3", "Ch1"), markers={"DNA": "Ch2"})
    found = cells(data, tmp_path)
    assert [cell.object_index for cell in found] == [3, 7, 250]
    by_number = {one.number: one for one in written}
    for cell in found:
        one = by_number[cell.object_index]
        assert cell.pixels.dtype == np.uint16
        assert cell.pixels.tolist() == [one.pixels[[2, 0]].tolist()]
        assert cell.masks is not None
        assert cell.masks.tolist() == [one.masks[[2, 0]].tolist()]
        assert cell.markers == (integrated_fluorescence(one.pixels[1]),)
        assert cell.group == "day 1/a_tube"
        assert cell.source_file == "day 1/a_tube.cif"


def test_one_file_is_a_source_too(tmp_path: Path) -> None:
    for name in ("a_tube", "b_tube"):
        write_cif(tmp_path / f"{name}.cif", random_objects([0, 1]))
    assert len(cells(study(), tmp_path / "a_tube.cif")) == 2
    assert len(cells(study(), tmp_path)) == 4
    (tmp_path / "a.tif").write_bytes(b"")
    with pytest.raises(SourceError, match=r"a\.tif holds no images"):
        read(study(), tmp_path / "a.tif")


def test_links_are_followed_once(tmp_path: Path) -> None:
    write_cif(tmp_path / "elsewhere" / "deep" / "a.cif", random_objects([0]))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "deep" / "loop").symlink_to(tmp_path / "source")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    found = cells(study(), tmp_path / "source")
    assert [cell.source_file for cell in found] == ["linked/deep/a.cif"]


def test_channels_by_number_and_by_light(tmp_path: Path) -> None:
    odd = Oddities(in_use=(1, 4, 9), brightfield=(4,))
    written = random_objects([0], channels=3)
    write_cif(tmp_path / "a.cif", written, odd)
    for names, at in ((("brightfield",), [1]), (("Ch04", "Ch9"), [1, 2]), (("Ch01",), [0])):
        cell = cells(study(channels=names), tmp_path)[0]
        assert cell.pixels[0].tolist() == written[0].pixels[at].tolist()
    for wrong in ({"channels": ("Ch2",)}, {"markers": {"DNA": "Ch7"}}, {"channels": ("green",)}):
        with pytest.raises(ParameterError, match=r"Ch1, Ch4 \(brightfield\), Ch9") as caught:
            read(study(**wrong), tmp_path)
        assert caught.value.absent in (("Ch2",), ("Ch7",), ("green",))


def test_a_channel_that_one_file_lacks(tmp_path: Path) -> None:
    write_cif(tmp_path / "a.cif", random_objects([0]), Oddities(in_use=(1, 2)))
    write_cif(tmp_path / "b.cif", random_objects([0]), Oddities(in_use=(1, 3)))
    first, second = cells(study(markers={"DNA": "Ch2"}), tmp_path)
    assert np.isfinite(first.markers).all()
    assert np.isnan(second.markers).all()
    found, refused = read(study(channels=("Ch2",)), tmp_path)
    assert len(found) == 1
    assert [(one.source_file, one.reason) for one in refused] == [
        ("b.cif", "has no channel 'Ch2'; it holds Ch1 (brightfield), Ch3")
    ]


def test_two_brightfield_channels_are_not_told_apart_by_that_name(tmp_path: Path) -> None:
    write_cif(tmp_path / "a.cif", random_objects([0]), Oddities(brightfield=(1, 2)))
    with pytest.raises(ParameterError, match=r"Ch1 \(brightfield\), Ch2 \(brightfield\)"):
        read(study(channels=("brightfield",)), tmp_path)


def test_negative_counts_are_refused_where_models_look_and_count_in_markers(tmp_path: Path) -> None:
    for compressed in (True, False):
        written = random_objects([0, 1])
        written[0].pixels[1, 2, 2] = -3
        odd = Oddities(compressed=compressed, signed=True)
        write_cif(tmp_path / "a.cif", written, odd)
        found = cells(study(markers={"DNA": "Ch2"}), tmp_path)
        assert found[0].markers == (integrated_fluorescence(written[0].pixels[1]),)
        seen, _ = read(study(channels=("Ch1", "Ch2")), tmp_path)
        assert isinstance(seen[0], Refused)
        assert seen[0].reason == "object 0 has negative counts, down to -3"
        assert "compensation" in seen[0].remedy
        assert isinstance(seen[1], Cell)


def test_a_damaged_strip_costs_its_object_alone(tmp_path: Path) -> None:
    written = random_objects([0, 1, 2])
    write_cif(tmp_path / "a.cif", written, Oddities(damaged={1: bytes(20)}))
    found, refused = read(study(), tmp_path)
    assert not refused
    assert [type(one) for one in found] == [Cell, Refused, Cell]
    assert isinstance(found[1], Refused)
    assert found[1].reason == "object 1 holds 40 values for 240 pixels: it does not close"


def test_objects_without_a_mask_or_with_another_ones_number(tmp_path: Path) -> None:
    written = [*random_objects([0, 1, 2, 3]), *random_objects([3])]
    write_cif(tmp_path / "a.cif", written, Oddities(without_mask=(1,)))
    found, refused = read(study(), tmp_path)
    assert [one.object_index for one in found if isinstance(one, Cell)] == [0, 2]
    assert [one.reason for one in refused] == [
        "object 1 has no mask", "object 3 is the number of several objects"
    ]  # fmt: skip
    write_cif(tmp_path / "a.cif", written[:2], Oddities(mask_bits=16))
    assert [one.reason for one in read(study(), tmp_path)[1]] == [
        f"object {k} has a mask of 16 bits, not 8" for k in (0, 1)
    ]


def test_a_file_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """Wherever it ends, and where it promises other objects, or a directory runs over its end."""
    path = tmp_path / "a.cif"
    write_cif(path, random_objects([0, 1, 2]))
    content = path.read_bytes()
    for size in (0, 7, 30, 300, len(content) // 2, len(content) - 30, len(content) - 5):
        path.write_bytes(content[:size])
        found, refused = read(study(), tmp_path)
        assert not found, size
        assert [one.source_file for one in refused] == ["a.cif"]
    for odd, reason in (
        (Oddities(promised=4), "promises 4 objects and holds 3"),
        (Oddities(promised=2), "promises 2 objects and holds 3"),
        (Oddities(overrun=1), "directory"),
        (Oddities(overrun=2), "directory"),
    ):
        write_cif(path, random_objects([0, 1, 2]), odd)
        found, refused = read(study(), tmp_path)
        assert not found
        assert reason in refused[0].reason
    path.write_bytes(b"MM" + content[2:])
    assert "little-endian" in read(study(), tmp_path)[1][0].reason


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_a_file_with_any_bytes_changed_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as name:
        path = Path(name) / "a.cif"
        write_cif(path, random_objects([0, 1]))
        content = bytearray(path.read_bytes())
        for place, value in changes:
            content[place % len(content)] = value
        path.write_bytes(content)
        try:
            found, refused = read(study(markers={"DNA": "Ch2"}), path)
        except ParameterError:  # the XML was hit, which tells the channels
            return
    assert len(found) + len(refused) == 2 or refused[0].reason


def test_sizes_that_do_not_fit_the_channels(tmp_path: Path) -> None:
    write_cif(tmp_path / "a.cif", random_objects([0]), Oddities(channel_width=11))
    (found,) = read(study(), tmp_path)[0]
    assert isinstance(found, Refused)
    assert found.reason == "object 0 is 9 x 24 pixels, not 2 channels of 11"


def test_another_tiff_is_no_cif(tmp_path: Path) -> None:
    from tests.synthetic import write_image

    write_image(tmp_path / "a.tif", np.zeros((4, 4), np.uint16))
    (tmp_path / "a.tif").rename(tmp_path / "a.cif")
    assert "first directory is not Amnis's" in read(study(), tmp_path)[1][0].reason


def test_places_go_on_beyond_four_gigabytes() -> None:
    assert after(0, 8) == 8
    assert after(100, 99) == 2**32 + 99
    assert after(2**32 + 99, 100) == 2**32 + 100
    assert after(3 * 2**32 - 1, 0) == 3 * 2**32


def test_a_file_whose_places_wrap(tmp_path: Path) -> None:
    """A sparse file of 4 GiB whose objects lie on both sides of the border."""
    written = random_objects(range(8))
    path = tmp_path / "a.cif"
    places = write_cif(path, written, Oddities(base=2**32 - 1500))
    assert places[0] < 2**32 < places[-1]
    found = cells(study(), tmp_path)
    assert [cell.pixels[0, 0].tolist() for cell in found] == [w.pixels[0].tolist() for w in written]
    assert [cell.masks[0, 0].tolist() for cell in found if cell.masks is not None] == [
        w.masks[0].tolist() for w in written
    ]


def test_classes_by_populations(tmp_path: Path) -> None:
    for name in ("one", "one_more"):
        write_cif(tmp_path / "day" / f"{name}.cif", random_objects(range(6)))
    write_cif(tmp_path / "alone" / "x.cif", random_objects(range(3)))
    write_population(tmp_path / "day" / "one_G1.txt", [0, 4])
    write_population(tmp_path / "day" / "one_S.txt", [1])
    write_population(tmp_path / "day" / "one_more_S.txt", [5])
    write_population(tmp_path / "day" / "one_All.txt", range(6))
    write_population(tmp_path / "alone" / "G1.txt", [2])
    found = cells(study(PHASE), tmp_path)
    told = {(cell.group, cell.object_index): cell.told["label"] for cell in found}
    known = {key: name for key, name in told.items() if name is not None}
    assert known == {
        ("day/one", 0): "G1", ("day/one", 4): "G1", ("day/one", 1): "S", ("day/one_more", 5): "S",
        ("alone/x", 2): "G1",
    }  # fmt: skip
    assert len(told) == 15


def test_populations_of_other_names_and_objects_in_two_classes(tmp_path: Path) -> None:
    write_cif(tmp_path / "x.cif", random_objects(range(5)))
    write_population(tmp_path / "G1 bright.txt", [0, 1])
    write_population(tmp_path / "G1 dim.txt", [2])
    write_population(tmp_path / "x_S phase.txt", [2, 3])
    named = CifParams(populations={"G1": "^G1", "S": "^S phase$"})
    found, refused = read(study(PHASE, cif=named), tmp_path)
    assert [(one.object_index, one.told["label"]) for one in found if isinstance(one, Cell)] == [
        (0, "G1"), (1, "G1"), (3, "S"), (4, None)
    ]  # fmt: skip
    assert [one.reason for one in refused] == ["object 2 is in populations of G1 and of S"]
    with pytest.raises(SourceError, match=r"G1 has no population .*G1 bright, G1 dim, S phase"):
        read(study(PHASE), tmp_path)
    some = CifParams(populations={"G1": "^G1"})
    with pytest.raises(SourceError, match=r"class S has no population"):
        read(study(PHASE, cif=some), tmp_path)
    assert len(cells(study(PHASE, cif=some, external=["x"]), tmp_path)) == 5
    with pytest.raises(SourceError, match=r"class G1 has no population"):
        read(study(PHASE, external=["x"]), tmp_path)
    wrong = CifParams(populations={"G2": "x"})
    with pytest.raises(ParameterError, match=r"'G2' is no class.*\n.*G1, S"):
        read(study(PHASE, cif=wrong), tmp_path)
    broken = CifParams(populations={"G1": "("})
    with pytest.raises(ParameterError, match="no regular expression"):
        read(study(PHASE, cif=broken), tmp_path)


def test_population_files_that_cannot_be_right(tmp_path: Path) -> None:
    write_cif(tmp_path / "x.cif", random_objects(range(3)))
    write_population(tmp_path / "S.txt", [1])
    for numbers, reason in (([0, 9], "G1.txt names object 9, which x.cif lacks"),
                            ([0, 0], "G1.txt: object 0 stands there twice")):  # fmt: skip
        write_population(tmp_path / "G1.txt", numbers)
        with pytest.raises(SourceError, match=reason):
            read(study(PHASE), tmp_path)
    for content, reason in (
        ("Object Number\tArea\n0\t5\nmean\t5\n", "line 3: 'mean' is no number"),
        ("Object Number,Area\n0,5\n1,5\n", "line 2: '0,5' is no number"),
    ):
        (tmp_path / "G1.txt").write_text(content)
        with pytest.raises(SourceError, match=reason):
            read(study(PHASE), tmp_path)
    (tmp_path / "G1.txt").write_text("Object Number\tArea\n2\t5\n", encoding="utf-16")
    assert [c.told["label"] for c in cells(study(PHASE), tmp_path)] == [None, "S", "G1"]
    write_population(tmp_path / "G1.txt", [0])
    write_population(tmp_path / "x_G1.txt", [0])
    with pytest.raises(SourceError, match="second file for the population 'G1'"):
        read(study(PHASE), tmp_path)
    (tmp_path / "x_G1.txt").unlink()
    write_cif(tmp_path / "y.cif", random_objects(range(3)))
    with pytest.raises(SourceError, match=r"G1.txt belongs to no \.cif"):
        read(study(PHASE), tmp_path)


def test_what_no_cif_tells_is_refused(tmp_path: Path) -> None:
    write_cif(tmp_path / "a.cif", random_objects([0]))
    area = {"area": {"kind": "value", "column": "area"}}
    with pytest.raises(ParameterError, match="tells no 'area'"):
        read(study(area), tmp_path)
    with pytest.raises(ParameterError, match="one frame"):
        read(study(frames=2), tmp_path)
    twice = read(study(channels=("Ch1", "brightfield")), tmp_path)[1]
    assert [one.reason for one in twice] == ["has one channel that is called Ch1 and brightfield"]
    write_cif(tmp_path / "a.CIF", random_objects([0]))
    with pytest.raises(SourceError, match=r"a\.CIF and a\.cif in .* have the same name a"):
        read(study(), tmp_path)


def test_objects_that_went_away_after_listing_are_refused(tmp_path: Path) -> None:
    write_cif(tmp_path / "a.cif", random_objects([0, 1, 2]))
    reader = open_reader(study(), tmp_path)
    (acquisition,) = reader.acquisitions()
    items = reader.items(acquisition).items
    write_cif(tmp_path / "a.cif", random_objects([0, 2]))
    found = list(reader.decode(acquisition, items))
    assert [type(one) for one in found] == [Cell, Refused, Cell]
    (tmp_path / "a.cif").unlink()
    assert all(isinstance(one, Refused) for one in reader.decode(acquisition, items))
