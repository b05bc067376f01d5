"""Which code a stage's result depends on: everything that its module imports, now or later.

The derivation reads source and executes nothing. From stages/<name>.py it follows every import
statement, those inside functions too. A package's `__init__` runs before any of its modules, so it
belongs to each of them. What `if TYPE_CHECKING:` guards never runs and is left out. Files that are
no modules (templates, style sheets) belong to the modules of their package's directory. What the
runner hands to a stage (`job.registry`) counts where a stage uses it.

Not followed is the contract, which says what a stage is and shapes no result. Imports by a name
that is computed cannot be seen: tests/pipeline/test_freshness.py refuses them.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from unstained.files import file_sha256

PACKAGE: Final = "unstained"
SOURCE: Final = Path(__file__).parents[2]
"""Directory that holds the package: the source tree, or where it was installed."""

NOT_FOLLOWED: Final = frozenset({"unstained.pipeline.contract"})

HANDED: Final = {"registry": "unstained.registry.registry"}
"""Field of a stage's `job` -> the module behind it: an import that the runner makes for a stage."""


class Code:
    """A source tree, and which of its files each stage depends on. A module is parsed once.

    Args:
        source: directory that holds the package.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self._imports: dict[str, frozenset[str]] = {}
        self._files: dict[str, tuple[Path, ...]] = {}

    def modules(self, stage: str) -> frozenset[str]:
        """Names of the modules that a stage's result depends on, packages among them."""
        reached: set[str] = set()
        waiting = {f"{PACKAGE}.stages.{stage}"}
        while waiting:
            module = waiting.pop()
            reached.add(module)
            waiting |= self._imported(module) - reached
        return frozenset(reached)

    def files(self, stage: str) -> tuple[Path, ...]:
        """The files of these modules and their resources, relative to `source`, sorted."""
        if stage not in self._files:
            files = {path for name in self.modules(stage) if (path := self._path(name))}
            rooms = {path.parent for path in files if path.name != "__init__.py"}
            found = files.union(*(_resources(room) for room in rooms))
            self._files[stage] = tuple(sorted(path.relative_to(self.source) for path in found))
        return self._files[stage]

    def digest(self, stage: str) -> str:
        """Sha256 of names and contents of these files."""
        lines = [f"{f.as_posix()} {file_sha256(self.source / f)}\n" for f in self.files(stage)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _imported(self, module: str) -> frozenset[str]:
        """What one module imports of this package, with the packages that lie around it."""
        if module not in self._imports:
            path = self._path(module)
            names = {module} | (_names_imported(path, module) if path else set())
            known = [name for name in names - NOT_FOLLOWED if self._path(name)]
            self._imports[module] = frozenset(name for one in known for name in _lineage(one))
        return self._imports[module]

    def _path(self, module: str) -> Path | None:
        """File of a module; None for names of other packages, and of functions and classes."""
        if module.partition(".")[0] != PACKAGE:
            return None
        place = self.source.joinpath(*module.split("."))
        candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
        return next((path for path in candidates if path.is_file()), None)


@cache
def own_code() -> Code:
    """The code that this process runs."""
    return Code(SOURCE)


@cache
def code_digest(stage: str) -> str:
    """Sha256 of the code that a stage's result depends on.

    As this process first found it: what it has imported does not follow later edits.
    """
    return own_code().digest(stage)


class _Imports(ast.NodeVisitor):
    """Collects what import statements name, modules and their attributes alike."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.names: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
        for child in node.orelse if name == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(child)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in HANDED and isinstance(node.value, ast.Name) and node.value.id == "job":
            self.names.add(HANDED[node.attr])
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        around = self.package.split(".")[: 1 - node.level or None] if node.level else []
        origin = ".".join([*around, *([node.module] if node.module else [])])
        self.names |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}


def _names_imported(path: Path, module: str) -> set[str]:
    visitor = _Imports(module if path.name == "__init__.py" else module.rpartition(".")[0])
    visitor.visit(ast.parse(path.read_bytes()))
    return visitor.names


def _lineage(module: str) -> set[str]:
    """A module and the packages around it."""
    parts = module.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


def _resources(directory: Path) -> set[Path]:
    """Files of a package's directory that are no modules; packages inside have their own."""
    found: set[Path] = set()
    for path in directory.iterdir():
        if path.is_file() and path.suffix != ".py":
            found.add(path)
        elif path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            found |= _resources(path)
    return found
