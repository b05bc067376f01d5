"""Fixtures shared by all tests: quiet libraries, a project directory, the real images' place."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unstained.garbage import search_rarely

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# As on the cluster: each server would start seven more processes for jobs that nobody sends.
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Workers fill the cores: a second thread each only waits for the first.
os.environ.setdefault("OMP_NUM_THREADS", "1")

search_rarely()

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that
# interrupt a child would then see it run to its end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


SLOWEST = (
    "s3",
    "grid",
    "replicates",
    "stores",
    "tests/studies/test_miniatures.py",
    "tests/learning/test_tuning_ray.py",
    "tests/artifact/test_onnx_export.py",
    "tests/learning/test_distributed.py",
    "tests/test_interruptions.py",
    "tests/registry/test_registry_server.py",
    "tests/registry/test_promotion.py",
    "tests/stages/test_evaluate_tasks.py",
    "tests/pipelines/cluster/test_command.py",
    "tests/learning/test_resume.py",
    "tests/artifact/test_baselines_export.py",
)
"""Groups of tests that start first, so that no worker ends with minutes of them alone.

A worker gets two groups at once: the first one's second is short.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one worker, which builds its fixtures once; skip those that take
    minutes unless all are asked for.
    """

    def group(item: pytest.Item) -> str:
        mark = item.get_closest_marker("xdist_group")
        return str(mark.args[0]) if mark else item.nodeid.partition("::")[0]

    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group(item)))
        if item.get_closest_marker("minutes") and os.environ.get("UNSTAINED_TEST_ALL") != "1":
            item.add_marker(pytest.mark.skip(reason="takes minutes: `make test-all`"))
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(group(item), len(places)))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes and keys by their argument: they are made anew, and workers must agree."""
    made = isinstance(val, bytes) or (isinstance(val, str) and val.startswith("-----BEGIN"))
    return argname if made else None


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def quick_compiler() -> Iterator[None]:
    """Let kfp's compiler look up its caller's name alone, not every frame's source lines.

    It does so for each property of a task; a process that has imported everything looks through
    thousands of modules each time, and wakes those that load lazily.
    """
    from kfp.dsl import pipeline_task

    def stack() -> list[tuple[Any, ...]]:
        """What kfp reads of `inspect.stack()`: the fourth entry of its caller's frame."""
        frames = (sys._getframe(depth) for depth in (1, 2))
        return [(None, None, None, frame.f_code.co_name) for frame in frames]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=stack))
        yield


@pytest.fixture(scope="module")
def quick_exporter() -> Iterator[None]:
    """See `tests.exported.quick_export`: for a whole module."""
    from tests.exported import quick_export

    with quick_export():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project: params.yaml and dvc.yaml alone."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo at a tiny size after one real `dvc repro`. Whoever changes it puts it back.

    Its tests share the group "s3" (`@pytest.mark.xdist_group("s3")`): one worker makes one run.
    """
    from tests.demo import run_demo

    return run_demo(tmp_path_factory.mktemp("demo") / "project")


@pytest.fixture(scope="session")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Replicates of two models on two folds, see `tests.replicates`. Only to be read and copied.

    Its tests share the group "replicates", so that one worker makes them.
    """
    from tests.replicates import make_replicates

    root = tmp_path_factory.mktemp("replicated")
    make_replicates(root)
    return root


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sealed artifact of a small network, see `tests.serving.artifacts`."""
    from tests.exported import quick_export
    from tests.serving.artifacts import export_artifact

    with quick_export():
        return export_artifact(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="session")
def champion(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose champion that artifact is. Only to be read.

    Its tests share the group "champion", so that one worker makes it.
    """
    from tests.serving.artifacts import with_champion

    return with_champion(tmp_path_factory.mktemp("project"), artifact)


@pytest.fixture(scope="session")
def jurkat() -> Path:
    """Real Jurkat montages, where the machine has them."""
    return real_images("ifc_jurkat_cellcycle_mlcp")


@pytest.fixture(scope="session")
def smears() -> Path:
    """Real photographs of blood smears (BCCD), where the machine has them."""
    return real_images("wbc_bccd")


def real_images(name: str) -> Path:
    """A folder of real images; skips the test where it is absent."""
    path = Path(os.environ.get("UNSTAINED_REALDATA") or "/nonexistent") / name
    if not path.is_dir():
        pytest.skip("real images are not here: set UNSTAINED_REALDATA to their folder")
    return path
