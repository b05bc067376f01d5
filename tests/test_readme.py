"""Every command line of the README: run on the tiny demo where that is cheap, else parsed by what
would run it. A line that no check knows is a failure.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from safetensors.numpy import load_file
from typer.core import TyperGroup
from typer.main import get_command

from tests.config.test_config import edit
from tests.conftest import ROOT
from tests.demo import command
from tests.servers.process import free_port, running, wait_until
from unstained.artifact.artifact import artifact_digest
from unstained.cli import app
from unstained.config.document import read_document
from unstained.config.project import load_params
from unstained.operations import settled_study

pytestmark = pytest.mark.xdist_group("s3")

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = Path(sys.executable).parent


def command_lines(text: str) -> list[str]:
    """The commands of all shell blocks, without comments, one each."""
    lines = "".join(BLOCK.findall(text)).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in line.split(" && ")]
    return [said for part in parts if (said := shlex.join(shlex.split(part, comments=True)))]


LINES = command_lines((ROOT / "README.md").read_text(encoding="utf-8"))


def parsed(words: list[str]) -> dict[str, Any]:
    """What the real command line makes of its arguments; nothing runs.

    Raises:
        TyperException: there is no such command, option or value.
    """
    found: Any = get_command(app)
    context = found.make_context("unstained", list(words))
    while isinstance(found, TyperGroup):
        name, found, rest = found.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = found.make_context(name, rest, parent=context)
    return dict(context.params)


def prints(*expected: str, status: int = 0) -> Callable[[Path, list[str]], None]:
    """Run the line as it is in the project; its output holds these words."""

    def check(project: Path, words: list[str]) -> None:
        done = command(project, *words, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        for text in expected:
            assert text in said

    return check


def parses(project: Path, words: list[str]) -> None:
    """The real command line takes these words; other tests run them, or a cluster is needed."""
    assert parsed(words[1:]) is not None


def makes(project: Path, words: list[str]) -> None:
    """There is a target: make says what it would do."""
    done = subprocess.run(
        ["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def changes_parameters(project: Path, words: list[str]) -> None:
    """DVC takes the words, its file is there, and the changed parameters are valid ones."""
    from dvc.cli.parser import get_main_parser

    arguments = get_main_parser().parse_args(words[1:])
    for target in arguments.targets:
        assert (ROOT / target).is_file()
    place = project.parent / "changed.yaml"
    shutil.copy(ROOT / "params.yaml", place)
    for change in getattr(arguments, "set_param", None) or ():
        path, _, value = change.partition("=")
        keys, node = path.split("."), read_document(place).content
        for key in keys:
            assert key in node, f"params.yaml has no {path}"
            node = node[key]
        edit(place, *keys, value=json.loads(value) if value.startswith("[") else value)
    load_params(place)


def shows_plots(project: Path, words: list[str]) -> None:
    command(project, *words)
    page = (project / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    shutil.rmtree(project / "dvc_plots")
    for title in ("Validation loss", "confusion"):
        assert title in page


def points_at_images(project: Path, words: list[str]) -> None:
    place = project.parent / "elsewhere"
    place.mkdir()
    shutil.copy(ROOT / "params.yaml", place)
    command(place, *words[:-1], str(project.parent))
    study = load_params(place / "params.yaml").studies[words[2]]
    assert study.data.source == str(project.parent.resolve())


@contextmanager
def started(project: Path, *words: str, answers: str) -> Iterator[str]:
    """A server on a free port of its own, once it answers; its address."""
    port = free_port()
    log = project.parent / f"{words[0]}.log"
    address = f"http://127.0.0.1:{port}"
    program = [str(PROGRAMS / words[0]), *words[1:], "--port", str(port)]

    def ready() -> bool:
        try:
            with urllib.request.urlopen(address + answers, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    with running(program, log, cwd=project) as process:
        wait_until(ready, process, log)
        yield address


def opens_a_page(project: Path, words: list[str]) -> None:
    with (
        started(project, *words, "--workers", "1", answers="/health") as address,
        urllib.request.urlopen(address, timeout=30) as page,
    ):
        assert b"<html" in page.read()


def golden_of(project: Path, study: str) -> tuple[int, dict[str, np.ndarray]]:
    """Number of the champion, and its golden batch."""
    champion = settled_study(project, study).require_champion()
    assert champion is not None
    artifacts = (project / "runs" / study / "export").glob("*/artifact")
    (place,) = (each for each in artifacts if artifact_digest(each) == champion.digest)
    return champion.version, load_file(place / "golden.safetensors")


def sends_files(project: Path, words: list[str]) -> None:
    """The files that curl would send are answered by a row each."""
    address, form = words[-1], words[words.index("-F") : -1]
    version, golden = golden_of(project, "nsc")
    sent = []
    for field, cell in zip(form[1::2], golden["pixels"], strict=False):
        name, _, file = field.partition("=@")
        path = project.parent / file
        tifffile.imwrite(path, cell[0])
        sent.append((name, (file, path.read_bytes())))
    words = ["unstained", "serve", "nsc", "--grpc-port", str(free_port())]
    with started(project, *words, answers="/v2/health/ready") as server:
        path = urllib.parse.urlsplit(address).path
        found = httpx.post(server + path, files=sent, timeout=60).raise_for_status().json()
    assert [row["source_file"] for row in found["rows"]] == ["cell1.tif", "cell2.tif"]
    assert found["model_version"] == str(version)


def serves(project: Path, words: list[str]) -> None:
    """The champion answers a request as its golden batch says."""
    version, golden = golden_of(project, words[2])
    more = ("--grpc-port", str(free_port()))
    pixels = golden["pixels"]
    tensor = {
        "name": "pixels",
        "shape": list(pixels.shape),
        "datatype": f"UINT{pixels.dtype.itemsize * 8}",
        "data": pixels.ravel().tolist(),
    }
    with started(project, *words, *more, answers="/v2/health/ready") as address:
        request = urllib.request.Request(
            f"{address}/v2/models/unstained-nsc/infer",
            json.dumps({"inputs": [tensor]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
    assert content["model_version"] == str(version)
    outputs = {output["name"]: output for output in content["outputs"]}
    found = np.array(outputs["logits"]["data"]).reshape(outputs["logits"]["shape"])
    np.testing.assert_allclose(found, golden["logits"], rtol=1e-4, atol=1e-4)


def builds_an_image(project: Path, words: list[str]) -> None:
    """The Dockerfile has the target and takes the arguments; tests/image builds it."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f" AS {words[words.index('--target') + 1]}\n" in text
    assert f"ARG {words[words.index('--build-arg') + 1].partition('=')[0]}" in text


CHECKS: dict[str, Callable[[Path, list[str]], None]] = {
    r"make .*": makes,
    r"dvc metrics show": prints("macro_f1", "plain_cnn"),
    r"dvc plots show": shows_plots,
    r"dvc exp run .*": changes_parameters,
    r"dvc repro baselines/dvc\.yaml": changes_parameters,
    r"mlflow ui .*": opens_a_page,
    r"docker build .*": builds_an_image,
    r"unstained compare nsc": prints("nsc: unstained-nsc", "macro F1"),
    r"unstained history nsc": prints("promote", "v"),
    r"unstained rollback nsc": prints("has no previous champion to roll back to", status=9),
    r"unstained summary": prints("champion", "report.html"),
    r"unstained params .*": prints("architecture", "default"),
    r"unstained plan": prints("replicates"),
    r"unstained source nsc .*": points_at_images,
    r"unstained serve nsc": serves,
    r"curl -F .*": sends_files,
    r"unstained .*": parses,
}
"""Pattern of a command line -> its check; the first that fits."""


def test_the_blocks_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Comments go, continued lines and chains are commands of their own."""
    text = "```sh\na b  # c\nd \\\n  'e f' && g\n```\n```\nh\n```\n"
    assert command_lines(text) == ["a b", "d 'e f'", "g"]
    assert len(LINES) > 15


def test_the_command_line_is_asked() -> None:
    assert parsed(["serve", "x", "--port", "81"])["port"] == 81
    for wrong in ("serv x", "serve x --prt 1", "pipeline run --studdy a"):
        with pytest.raises(Exception, match=r"No such (command|option)"):
            parsed(wrong.split())


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_does_what_it_says(line: str, finished: Path) -> None:
    check = next((each for known, each in CHECKS.items() if re.fullmatch(known, line)), None)
    assert check is not None, f"how can a test show that the README's `{line}` works? See CHECKS"
    check(finished, shlex.split(line))
