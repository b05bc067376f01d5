"""What a stage's result depends on: derived from its imports, against an independent graph."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from tests.conftest import ROOT
from unstained.files import file_sha256
from unstained.pipeline import freshness
from unstained.pipeline.catalogue import BASELINES, OPERATIONS, STAGES
from unstained.pipeline.freshness import NOT_FOLLOWED, PACKAGE, Code, own_code

NAMES = (*STAGES, *BASELINES, *OPERATIONS)
WRITE_PAGES = {"report", "baselines", "explain", "uncertainty"}
SEES_CELLS = {"ingest", "validate", "tune", "train", "evaluate", "export"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All imports of the package, as the import linter sees them."""
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)


@pytest.fixture(scope="module")
def copy(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Code:
    """A copy of the source tree."""
    place = tmp_path_factory.mktemp("copy") / "src"
    shutil.copytree(repository / "src", place, ignore=shutil.ignore_patterns("__pycache__"))
    return Code(place)


@pytest.fixture(autouse=True)
def _hash_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the digest of a file once for as long as nobody writes it."""
    known: dict[tuple[Path, int, int], str] = {}

    def hashed(path: Path) -> str:
        state = path.stat()
        key = path, state.st_mtime_ns, state.st_size
        return known.get(key) or known.setdefault(key, file_sha256(path))

    monkeypatch.setattr(freshness, "file_sha256", hashed)


def reference(graph: grimp.ImportGraph, stage: str) -> set[str]:
    """Modules that a stage imports directly or not, and the packages around each of them.

    The runner gives a stage the registry, which is as good as an import.
    """
    reached: set[str] = set()
    waiting = [f"{PACKAGE}.stages.{stage}"]
    if "job.registry" in (ROOT / "src" / PACKAGE / "stages" / f"{stage}.py").read_text():
        waiting.append("unstained.registry.registry")
    while waiting:
        module = waiting.pop()
        if module in reached or module in NOT_FOLLOWED:
            continue
        reached.add(module)
        waiting += graph.find_modules_directly_imported_by(module)
        waiting += [module.rpartition(".")[0]] if "." in module else []
    return reached


def stale(code: Code, path: Path) -> set[str]:
    """Stages whose digest an edit of a file changes; the edit is taken back."""
    existed = path.is_file()
    content = path.read_bytes() if existed else b""
    before = {name: code.digest(name) for name in NAMES}
    path.write_bytes(content + b"\n")
    code = code if existed else Code(code.source)
    try:
        return {name for name in NAMES if code.digest(name) != before[name]}
    finally:
        path.write_bytes(content) if existed else path.unlink()


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_those_of_an_independent_graph(graph: grimp.ImportGraph, name: str) -> None:
    assert own_code().modules(name) == reference(graph, name)


def test_an_edit_of_any_module_makes_exactly_its_users_stale(
    graph: grimp.ImportGraph, copy: Code
) -> None:
    """Of those that use a module, and of the others, one each is hashed, in turn; all are asked for
    their files.
    """
    before = {name: copy.digest(name) for name in NAMES}
    users = {name: reference(graph, name) for name in NAMES}
    for number, path in enumerate(sorted(copy.source.rglob("*.py"))):
        relative = path.relative_to(copy.source)
        module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        wanted = {name for name in NAMES if module in users[name]}
        assert {name for name in NAMES if relative in copy.files(name)} == wanted, module
        content = path.read_bytes()
        path.write_bytes(content + b"\n# edited\n")
        for some, stale in ((sorted(wanted), True), (sorted(set(NAMES) - wanted), False)):
            if some:
                name = some[number % len(some)]
                assert (copy.digest(name) != before[name]) == stale, (module, name)
        path.write_bytes(content)
    assert before == {name: Code(copy.source).digest(name) for name in NAMES}


def test_what_normalises_every_pixel_makes_all_that_sees_cells_stale(copy: Code) -> None:
    assert stale(copy, copy.source / "unstained/imaging/background.py") >= SEES_CELLS


@pytest.mark.parametrize(
    ("name", "users"),
    [
        ("report/study/verdict.py", {"report"}),
        ("report/leaderboard/page.py", {"report"}),
        ("report/gallery.py", {"report"}),
        ("report/page.py", {"report", "baselines", "explain", "uncertainty"}),
        ("report/templates/report.css", {"report", "baselines", "explain", "uncertainty"}),
    ],
)
def test_an_edit_of_a_page_neither_evaluates_nor_compares_again(
    copy: Code, name: str, users: set[str]
) -> None:
    assert stale(copy, copy.source / "unstained" / name) == users


@pytest.mark.parametrize(
    ("section", "users"),
    [
        ("ingest", {"ingest"}),
        ("compare", {"compare", "baselines"}),
        ("promote", {"promote"}),
        ("report", {"report"}),
        ("monitor", {"monitor"}),
        ("explain", {"explain"}),
        ("uncertainty", {"uncertainty"}),
        ("baselines", {"baselines", "explain", "uncertainty"}),
    ],
)
def test_an_edit_of_a_section_makes_those_stale_that_are_asked_for_it(
    copy: Code, section: str, users: set[str]
) -> None:
    assert stale(copy, copy.source / "unstained/config" / f"{section}.py") == users


def test_an_edit_of_a_page_writes_pages_again_and_nothing_else(copy: Code) -> None:
    pages = [*(copy.source / "unstained/report").rglob("*.*")]
    assert {path.suffix for path in pages} >= {".py", ".css", ".j2"}
    found = {name for path in pages if path.suffix != ".pyc" for name in stale(copy, path)}
    assert found == WRITE_PAGES


def test_files_beside_modules_belong_to_them(copy: Code) -> None:
    (template,) = copy.source.rglob("report.css")
    room = next(parent for parent in template.parents if (parent / "__init__.py").exists())
    dotted = ".".join(room.relative_to(copy.source).parts)
    writers = {
        name
        for name in NAMES
        if any(module.rpartition(".")[0] == dotted for module in copy.modules(name))
    }
    assert writers
    assert stale(copy, template) == writers
    assert stale(copy, template.with_name("new.json")) == writers


@pytest.mark.parametrize(
    "name",
    [
        "data/unused.py",
        "data/store/__pycache__/cell_store.pyc",
        "cli/__init__.py",
        *(f"pipeline/{name}.py" for name in ("contract", "catalogue", "runner", "pod", "grid")),
    ],
)
def test_unused_code_and_plumbing_change_no_result(copy: Code, name: str) -> None:
    path = copy.source / "unstained" / name
    path.parent.mkdir(exist_ok=True)
    assert not stale(copy, path)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A package whose only stage imports in every way there is."""
    files = {
        "__init__": "",
        "stages/__init__": "",
        "stages/one": (
            "from typing import TYPE_CHECKING\n"
            "import unstained.plain\n"
            "from unstained import member\n"
            "from unstained.room import CONSTANT\n"
            "from ..room import relative\n"
            "if TYPE_CHECKING:\n    from unstained import types_only\n"
            "else:\n    from unstained import not_for_types\n"
            "def run():\n    import unstained.lazy as other\n"
            "    try:\n        from unstained.deep import inner\n    except ImportError: pass\n"
        ),
        "room/__init__": "from unstained.behind import CONSTANT",
        "deep/__init__": "",
    }
    names = ("plain", "member", "room/relative", "types_only", "not_for_types")
    names += ("lazy", "deep/inner", "behind", "unknown cell")
    for name, text in (files | dict.fromkeys(names, "")).items():
        path = tmp_path / PACKAGE / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_kind_of_import_is_followed(tiny: Path) -> None:
    expected = {"", "stages", "stages.one", "plain", "member", "room", "behind", "room.relative",
                "not_for_types", "lazy", "deep", "deep.inner"}  # fmt: skip
    assert Code(tiny).modules("one") == {f"{PACKAGE}.{name}".rstrip(".") for name in expected}


@pytest.mark.parametrize("name", NAMES)
def test_no_stage_reads_the_module_of_another(name: str) -> None:
    """A helper that two stages need lies in a room below them: it brings no other code along."""
    stages = {f"{PACKAGE}.stages.{other}" for other in NAMES if other != name}
    assert not own_code().modules(name) & stages


def computed_imports(path: Path) -> Iterator[int]:
    """Lines that import by a name that is computed, or start a module by its name."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in {"import_module", "__import__", "spec_from_file_location", "run_module"}:
                yield node.lineno


def test_no_stage_imports_what_cannot_be_seen(repository: Path) -> None:
    files = {path for name in NAMES for path in own_code().files(name) if path.suffix == ".py"}
    found = {
        path: lines for path in files if (lines := [*computed_imports(repository / "src" / path)])
    }
    assert not found


def test_templates_are_read_by_modules_of_their_package(repository: Path) -> None:
    found = {}
    for path in (repository / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("PackageLoader"):
                package = ".".join(path.parent.relative_to(repository / "src").parts)
                found[path.name] = ast.literal_eval(node.args[0]) == package
    assert found
    assert all(found.values()), found
