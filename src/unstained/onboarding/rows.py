"""Draft for a table with a row a cell (reader `table`)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa

from unstained.data.readers.tabular import YES
from unstained.errors import ParameterError, SourceError
from unstained.onboarding.asking import Choice, Draft, pick, require
from unstained.onboarding.axes import image_axes
from unstained.onboarding.columns import (
    GROUP_WORDS,
    IMAGE_WORDS,
    Column,
    class_choices,
    flag_choices,
    kind_of,
    object_choices,
    said,
    value_choices,
)
from unstained.onboarding.folders import LOOKED_AT, looked_at
from unstained.onboarding.layouts import Standards, group, pixel_size
from unstained.onboarding.options import Options
from unstained.onboarding.tables import Table, with_files
from unstained.onboarding.tree import Tree, spread
from unstained.wording import counted

DOUBT: Final = "its numbers have a comma, which may be decimal or stand between thousands"


def draft_rows(tree: Tree, table: Table, options: Options, standards: Standards) -> Draft:
    """A row a cell; the columns that are used are chosen or asked for.

    Raises:
        SourceError: no column names images that are there.
        ParameterError: nothing is asked of a cell.
    """
    return _Drafting(tree, table, options, standards).all()


@dataclass
class _Drafting:
    """What the steps share."""

    tree: Tree
    table: Table
    options: Options
    standards: Standards
    draft: Draft = field(default_factory=Draft)
    label: str | None = None
    images: Sequence[str] = ()
    kept: Sequence[bool] = ()

    def all(self) -> Draft:
        draft, options = self.draft, self.options
        images = self.images = self._images()
        if not images:
            return draft
        files = {name: [file for file in self.table.files[name] if file] for name in images}
        seen = looked_at(
            draft, self.tree, [file for name in images for file in spread(files[name], LOOKED_AT)]
        )
        image_axes(draft, seen, len(images), replace(options, image=tuple(images)))
        size = draft.take("pixel size", pixel_size(seen, options.pixel_size))
        draft.data["pixel_size_um"] = float(size) if size else 1.0
        draft.data["tasks"] = self._tasks()
        self.kept = self._kept(images)
        section = {"image": images[0] if len(images) == 1 else images, **self._columns()}
        draft.data |= {"group": "acquisition", "table": section}
        if not (self.table.direct.issuperset(images) and all(self.kept)):
            draft.table = with_files(self.table, images, self.kept)
        return draft

    def _images(self) -> list[str]:
        """Columns of files; none while they are asked for."""
        table, options = self.table, self.options
        if not table.files:
            raise SourceError(
                f"{table.path}: no column names images that lie below the folder",
                "name the folder that the paths in the table are relative to",
            )
        for name in options.image:
            require("--image", name, list(table.files))
        if len(options.image) > 1:
            self.draft.decide("images", ", ".join(options.image), "asked for by --image")
            return list(options.image)
        choices = [
            Choice(
                name, f"names {counted(sum(map(bool, files)), 'image')}", said(name, IMAGE_WORDS)
            )
            for name, files in table.files.items()
        ]
        given = options.image[0] if options.image else None
        text = "Which column names a cell's image? Several, one a channel: --image for each."
        chosen = self.draft.take("images", pick("--image", text, given, choices))
        return [] if chosen is None else [chosen]

    def _tasks(self) -> dict[str, object]:
        """What is asked of a cell."""
        tasks: dict[str, object] = {}
        options, columns = self.options, self.table.columns
        numbers = value_choices(columns)
        answer = pick(
            "--label",
            "Which column is the class of a cell?",
            options.label,
            class_choices(columns),
            optional="no classes, numbers alone" if numbers else "",
        )
        self.label = self.draft.take("class", answer)
        if self.label is not None:
            counts = next(one.counts for one in columns if one.name == self.label)
            names = sorted(name for name in counts if name not in options.without)
            self._refuse_twins(names)
            tasks[task_name(self.label)] = {
                "kind": "classes",
                "names": names,
                "column": self.label,
            }
        for name in self._values([one for one in numbers if one.value != self.label]):
            plain, unit = named_with_unit(name)
            short = task_name(plain)
            tasks[task_name(name) if short in tasks else short] = {
                "kind": "value",
                "column": name,
                **unit,
            }
        if not tasks and not self.draft.questions:
            raise ParameterError(
                "nothing is asked of a cell", "give --label COLUMN or --value COLUMN"
            )
        return tasks

    def _refuse_twins(self, names: Sequence[str]) -> None:
        """Classes that differ in case or encoding alone are one, written in two ways."""
        known: dict[str, str] = {}
        for name in names:
            other = known.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if other != name:
                raise ParameterError(
                    f"{self.table.path}: {self.label} is {other!r} and {name!r}, which differ in "
                    "case or encoding alone",
                    "write them alike, or leave one out by --without",
                )

    def _values(self, numbers: Sequence[Choice]) -> list[str]:
        """Columns of numbers to predict."""
        given = self.options.value
        self._refuse_text(given)
        if len(given) < 2:
            text = "Which column is a number to predict? Several: --value for each."
            one = given[0] if given else None
            answer = pick("--value", text, one, numbers, optional="no number is predicted")
            found = self.draft.take("values", answer)
            return [] if found is None else [found]
        for name in given:
            require("--value", name, [choice.value for choice in numbers])
        self.draft.decide("values", ", ".join(given), "asked for by --value")
        return list(given)

    def _refuse_text(self, given: Sequence[str]) -> None:
        """Refuse columns without numbers where numbers are asked for; tell of doubtful ones."""
        for column in self.table.columns:
            if column.name not in given:
                if column.in_doubt:
                    text = f"{column.name}: {DOUBT}; with a point it could be predicted."
                    self.draft.untold.append(text)
            elif column.in_doubt:
                raise ParameterError(f"--value {column.name}: {DOUBT}", "write them with a point")
            elif column.kind == "text":
                fields = enumerate(self.table.text[column.name].to_pylist(), 1)
                row, odd = next((n, one) for n, one in fields if one and kind_of([one]) == "text")
                raise ParameterError(
                    f"--value {column.name}: {odd!r} in row {row} is no number",
                    f"correct it in {self.table.path}, or leave the field empty",
                )

    def _kept(self, images: Sequence[str]) -> list[bool]:
        """Whether a row is used: its files are there, and its class is not left out."""
        files = self.table.files
        there = [all(row) for row in zip(*(files[name] for name in images), strict=True)]
        missing = len(there) - sum(there)
        if missing:
            self.draft.untold.append(
                f"{missing} of {len(there)} rows name no image that is there, or several of one "
                "name: they are left out."
            )
        named = {file for name in images for file in files[name] if file}
        if len(named) < self.tree.images:
            self.draft.untold.append(
                f"{counted(self.tree.images - len(named), 'image')} left out: in no row."
            )
        out = set(self.options.without)
        if not out or self.label is None:
            return there
        classes = self.table.text[self.label].to_pylist()
        for name in out:
            require("--without", name, sorted({value for value in classes if value}))
        self.draft.decide("left out", ", ".join(sorted(out)), "classes, asked for by --without")
        return [row and value not in out for row, value in zip(there, classes, strict=True)]

    def _columns(self) -> dict[str, str]:
        """Columns of groups, external cells and object numbers."""
        section, columns = {}, [one for one in self.table.columns if one.name != self.label]
        text = "Does a column mark external test cells, which are never trained on?"
        answer = pick(
            "--external",
            text,
            self.options.external,
            flag_choices(columns),
            optional="none is external",
        )
        outside = self.draft.take("external cells", answer)
        if outside is not None:
            section["external"] = outside
        group = self._group(columns, outside)
        if group is not None:
            section["acquisition"] = group
        number = self._object(columns, group)
        if number is not None:
            section["object"] = number
        return section

    def _group(self, columns: Sequence[Column], external: str | None) -> str | None:
        """The column of what was recorded together; external cells are in no part of a split."""
        rows = self.table.text.filter(pa.array(self.kept))
        if external is not None:
            flags = [(value or "").lower() for value in rows[external].to_pylist()]
            rows = rows.filter(pa.array([flag not in YES for flag in flags]))
        used = {*self.options.value, *self.images}
        found = [one.name for one in columns if one.could_be_group and one.name not in used]
        told = [name for name in found if said(name, GROUP_WORDS)]
        shown = found if self.options.group is not None or not told else told
        labels = rows[self.label].to_pylist() if self.label else [None] * len(rows)
        candidates = {name: [value or "" for value in rows[name].to_pylist()] for name in shown}
        return group(
            self.draft, self.options, self.standards, candidates, labels, told.__contains__
        )

    def _object(self, columns: Sequence[Column], group: str | None) -> str | None:
        """A column of cell numbers, where they differ within a group."""
        given, text = self.options.object, self.table.text
        found = [one for one in object_choices(columns) if _differ(text, one.value, group)]
        if given is None and len(found) != 1:
            return None
        known = {one.name for one in columns}
        choices = found if given is None or given not in known else [Choice(given, "")]
        return self.draft.take("object numbers", pick("--object", "", given, choices))


def _differ(text: pa.Table, number: str, group: str | None) -> bool:
    """Whether the numbers of a column are known, and differ within each group."""
    keys = [number] if group is None else [number, group]
    return text[number].null_count == 0 and len(text.group_by(keys).aggregate([])) == len(text)


def named_with_unit(column: str) -> tuple[str, dict[str, str]]:
    """A column's name without the unit behind it in brackets, and that unit: 'Area (um2)'."""
    found = re.fullmatch(r"(.*\w)\s*[(\[]([^()\[\]]+)[)\]]", column)
    return (found[1], {"unit": found[2].strip()}) if found else (column, {})


def task_name(column: str) -> str:
    """A column's name as a task's: a letter first, then letters, digits, _ . + -."""
    plain = "".join(c if c.isalnum() or c in "_.+-" else "_" for c in column)
    return plain if plain[:1].isalpha() and plain[:1].isascii() else f"task_{plain}"
