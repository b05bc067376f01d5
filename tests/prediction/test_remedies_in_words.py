"""Remedies of predict, evaluate-external and serve: what a message advises is done, and helps."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from tests.registered import STUDY
from tests.servers.process import answers, free_port
from tests.synthetic import write_ifc, write_image
from unstained.artifact.artifact import MODEL_FILE, artifact_digest
from unstained.cli import app
from unstained.errors import UnstainedError

pytestmark = pytest.mark.xdist_group("champion")


class Desk:
    """A person at the command line, with a champion, files of their own and an environment."""

    def __init__(self, place: Path, artifact: Path, environment: pytest.MonkeyPatch) -> None:
        self.place, self.environment = place, environment
        self.exported, self.copy = artifact, place / "copy"
        self.source = write_ifc(place / "cells", {"a_1": 3, "b_1": 3})
        self.out = place / "found.csv"
        self.words: list[str] = []
        self.taken: int | None = None

    def predict(self, *words: object) -> None:
        self.words = ["predict", STUDY, *map(str, words or (self.source, "--out", self.out))]

    def score(self, *words: object) -> None:
        asked = words or (self.source,)
        self.words = ["evaluate-external", STUDY, *map(str, asked), "--out", str(self.out)]

    def serve(self, *words: object) -> None:
        """The last of two options that are one counts."""
        usual = ("--artifact", self.exported, "--port", free_port(), "--grpc-port", free_port())
        self.words = ["serve", *map(str, (*usual, *words))]

    def instead(self, word: object, other: object) -> None:
        """Type the same command with another word."""
        self.words[self.words.index(str(word))] = str(other)

    def copied(self) -> Path:
        """A copy of the artifact that may be spoilt."""
        shutil.copytree(self.exported, self.copy)
        return self.copy

    def run(self) -> None:
        """Run the command; a server is stopped once it is ready."""
        ended = threading.Event()
        watch = threading.Thread(target=self._stop_what_listens, args=(ended,))
        watch.start()
        done = CliRunner().invoke(app, self.words)
        ended.set()
        watch.join()
        if done.exception is not None:
            raise done.exception

    def _stop_what_listens(self, ended: threading.Event) -> None:
        """Wait for a server of this process, and end it as a terminal does."""
        if "--port" not in self.words:
            return
        port = int(self.words[len(self.words) - self.words[::-1].index("--port")])
        while not ended.wait(0.02):
            if port != self.taken and answers(port):
                os.kill(os.getpid(), signal.SIGINT)
                return


@pytest.fixture
def desk(tmp_path: Path, artifact: Path, champion: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(champion)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("UNSTAINED_LIMIT_DRAIN_SECONDS", "0")
    return Desk(tmp_path, artifact, monkeypatch)


class Case(NamedTuple):
    """What is wrong, what is said, and what is done."""

    spoil: Callable[[Desk], object]
    said: str
    advice: str
    do: Callable[[Desk], object]


def in_turn(*deeds: Callable[[Desk], object]) -> Callable[[Desk], None]:
    def all_of_them(desk: Desk) -> None:
        for deed in deeds:
            deed(desk)

    return all_of_them


def small(desk: Desk, dtype: type[np.unsignedinteger]) -> Path:
    image = np.add.outer(np.arange(40), np.arange(40)).astype(dtype)
    write_image(desk.place / "small.png", image)
    return desk.place / "small.png"


def blank(desk: Desk) -> None:
    for path in desk.source.rglob("*_Ch1.ome.tif"):
        tifffile.imwrite(path, np.full((40, 40), 700, np.uint16))


def emptied(desk: Desk) -> None:
    shutil.rmtree(desk.source)
    desk.source.mkdir()


def images_again(desk: Desk) -> None:
    write_ifc(desk.source, {"a_1": 2})


def of_another_depth(desk: Desk) -> None:
    for path in desk.source.rglob("*.tif"):
        tifffile.imwrite(path, (tifffile.imread(path) >> 2).astype(np.uint8))


def as_recorded(desk: Desk) -> None:
    shutil.rmtree(desk.source)
    write_ifc(desk.source, {"a_1": 3, "b_1": 3})


def damaged(desk: Desk) -> None:
    with (desk.copied() / MODEL_FILE).open("ab") as file:
        file.write(b"?")


def fetched_again(desk: Desk) -> None:
    shutil.rmtree(desk.copy)
    desk.copied()


def write_token(desk: Desk) -> None:
    made = subprocess.run(["openssl", "rand", "-hex", "32"], capture_output=True, check=True)
    (desk.place / "token").write_bytes(made.stdout)


def pem(desk: Desk) -> tuple[str, Path, str, Path]:
    return "--tls-certificate", desk.place / "made.pem", "--tls-key", desk.place / "key.pem"


def certified(desk: Desk) -> None:
    _, made, _, key = pem(desk)
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=here"
    subprocess.run([*words.split(), "-keyout", key, "-out", made], capture_output=True, check=True)


def set_to(name: str, value: str) -> Callable[[Desk], None]:
    return lambda desk: desk.environment.setenv(name, value)


def unset(name: str) -> Callable[[Desk], None]:
    return lambda desk: desk.environment.delenv(name)


def on_a_port_in_use(desk: Desk) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    desk.environment.setattr(desk, "listening", listening, raising=False)  # until the end
    desk.taken = listening.getsockname()[1]
    desk.serve("--port", desk.taken)


def on_another(desk: Desk) -> None:
    desk.serve("--port", free_port())


NOT_A_PLACE = "/nowhere/cells"
LLM = "http://127.0.0.1:9/v1"

CASES = {
    "predict: no source": Case(
        lambda desk: desk.predict(NOT_A_PLACE, "--out", desk.out),
        "there is no /nowhere/cells",
        "name a folder, an image, a table or a store",
        lambda desk: desk.instead(NOT_A_PLACE, desk.source),
    ),
    "predict: no reader": Case(
        lambda desk: desk.predict(desk.source, "--reader", "tiff", "--out", desk.out),
        "there is no reader 'tiff'",
        "--reader is one of",
        lambda desk: desk.instead("tiff", "table"),
    ),
    "predict: nothing there": Case(
        in_turn(emptied, Desk.predict),
        "holds no images",
        "one sub-directory of images a sample",
        images_again,
    ),
    "predict: a kind of cell": Case(
        lambda desk: desk.predict(small(desk, np.uint8), "--out", desk.out),
        "holds 1 image of uint8, the model takes 1 of uint16",
        "export the images as those that the model was trained on",
        lambda desk: small(desk, np.uint16),
    ),
    "predict: no format": Case(
        lambda desk: desk.predict(desk.source, "--out", "found.xlsx"),
        "ends in none of .csv, .parquet, .fcs, .h5ad",
        "name the file so that its end says the format",
        lambda desk: desk.instead("found.xlsx", desk.out),
    ),
    "predict: nothing to gate": Case(
        lambda desk: (blank(desk), desk.predict(desk.source, "--out", desk.place / "a.fcs")),
        "no cell could be judged",
        "write a .csv: it says why",
        lambda desk: desk.instead(desk.place / "a.fcs", desk.out),
    ),
    "predict: two models": Case(
        lambda desk: desk.predict(
            desk.source, "--out", desk.out, "--version", 1, "--artifact", desk.exported
        ),
        "name one model each",
        "give one of them",
        lambda desk: desk.predict(desk.source, "--out", desk.out, "--version", 1),
    ),
    "predict: no such alias": Case(
        lambda desk: desk.predict(desk.source, "--out", desk.out, "--alias", "best"),
        "no version of unstained-toy has the alias 'best'",
        "choose from champion",
        lambda desk: desk.instead("best", "champion"),
    ),
    "predict: no such version": Case(
        in_turn(set_to("MLFLOW_TRACKING_URI", "sqlite:///other.db"), Desk.predict),
        "it is another registry than before",
        "set MLFLOW_TRACKING_URI to the registry used before",
        unset("MLFLOW_TRACKING_URI"),
    ),
    "predict: a damaged copy": Case(
        lambda desk: (
            damaged(desk),
            desk.predict(desk.source, "--out", desk.out, "--artifact", desk.copy),
        ),
        "model.onnx",
        "do not use this copy: fetch it again",
        fetched_again,
    ),
    "score: no source": Case(
        lambda desk: desk.score(NOT_A_PLACE),
        "there is no /nowhere/cells",
        "name a folder, a table or a .cif",
        lambda desk: desk.instead(NOT_A_PLACE, desk.source),
    ),
    "score: no reader": Case(
        lambda desk: desk.score(desk.source, "--reader", "tiff"),
        "there is no reader 'tiff'",
        "--reader is one of",
        lambda desk: desk.instead("tiff", "zhu_ifc"),
    ),
    "score: another kind of cell": Case(
        in_turn(of_another_depth, Desk.score),
        "it knows other pixel type",
        "export the images as those that the model was trained on",
        as_recorded,
    ),
    "score: a class nobody knows": Case(
        lambda desk: ((desk.source / "b_1").rename(desk.source / "x_1"), desk.score()),
        "matches no class",
        "rename it so that a pattern matches",
        lambda desk: (desk.source / "x_1").rename(desk.source / "b_1"),
    ),
    "serve: nothing named": Case(
        lambda desk: desk.words.append("serve"),
        "what is served is a study's champion or version, or an artifact",
        "or --artifact and its directory",
        Desk.serve,
    ),
    "serve: a port in use": Case(
        on_a_port_in_use,
        "cannot be used: Address already in use",
        "choose others with --port",
        on_another,
    ),
    "serve: half of TLS": Case(
        lambda desk: (certified(desk), desk.serve(*pem(desk)[:2])),
        "TLS needs a certificate and its key",
        "give --tls-certificate and --tls-key",
        lambda desk: desk.serve(*pem(desk)),
    ),
    "serve: no certificate": Case(
        lambda desk: desk.serve(*pem(desk)),
        "cannot be used for TLS: [Errno 2] No such file",
        "give a certificate and its own key, both as PEM",
        certified,
    ),
    "serve: no token": Case(
        lambda desk: desk.serve("--token-file", desk.place / "token"),
        "cannot be read",
        "write the token into it",
        write_token,
    ),
    "serve: a short token": Case(
        lambda desk: (
            (desk.place / "token").write_text("secret"),
            desk.serve("--token-file", desk.place / "token"),
        ),
        "holds no token",
        "`openssl rand -hex 32`",
        write_token,
    ),
    "serve: no such limit": Case(
        in_turn(set_to("UNSTAINED_LIMIT_CELL", "5"), Desk.serve),
        "UNSTAINED_LIMIT_CELL: there is no such limit",
        "UNSTAINED_LIMIT_CELLS",
        in_turn(unset("UNSTAINED_LIMIT_CELL"), set_to("UNSTAINED_LIMIT_CELLS", "5")),
    ),
    "serve: no number": Case(
        in_turn(set_to("UNSTAINED_LIMIT_CELLS", "many"), Desk.serve),
        "UNSTAINED_LIMIT_CELLS is 'many'",
        "a whole number of at least 1",
        set_to("UNSTAINED_LIMIT_CELLS", "1"),
    ),
    "serve: no digest": Case(
        in_turn(set_to("UNSTAINED_ARTIFACT_DIGEST", "sha256:12"), Desk.serve),
        "which is no sha256",
        "set it to the artifact's digest (64 hexadecimal digits)",
        lambda desk: desk.environment.setenv(
            "UNSTAINED_ARTIFACT_DIGEST", artifact_digest(desk.exported)
        ),
    ),
    "serve: no INT8": Case(
        lambda desk: desk.serve("--int8"),
        "has no INT8 graph: not asked for: export.quantise is false",
        "serve the float32 graph, without --int8",
        Desk.serve,
    ),
    "serve: a damaged copy": Case(
        lambda desk: (damaged(desk), desk.serve("--artifact", desk.copy)),
        "model.onnx",
        "do not use this copy: fetch it again",
        fetched_again,
    ),
}


SLOW = (
    "predict: no source",
    "predict: no such version",
    "score: no source",
    "score: no reader",
    "score: a class nobody knows",
)
"""Cases that take more than a second."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.minutes) if n in SLOW else n for n in CASES]
)
def test_what_the_remedy_says_helps(desk: Desk, name: str) -> None:
    case = CASES[name]
    case.spoil(desk)
    with pytest.raises(UnstainedError) as error:
        desk.run()
    assert case.said in error.value.message
    assert case.advice in error.value.remedy
    case.do(desk)
    desk.run()
    if desk.words[0] != "serve":
        assert desk.out.exists()
