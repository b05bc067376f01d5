import json

import numpy as np
import pytest
import torch

from tests.synthetic import asked, blobs, tasks
from unstained.config.feature_models import BoostingParams
from unstained.config.networks import NetworkParams
from unstained.errors import IntegrityError, ParameterError, StageInputError
from unstained.models.build import build_model
from unstained.models.features.boosting import fit_boosting
from unstained.models.features.examples import Cells as Examples
from unstained.models.features.extract import Features
from unstained.models.trained import ModelSpec, TrainedModel, load_trained, save_trained

NETWORK = NetworkParams(
    architecture="cg_recnet", width=0.125, depth=(1, 1, 1, 1), stem_stride=2, dropout=0.3
)
BOOSTING = BoostingParams(
    architecture="features_boosting",
    iterations=3,
    learning_rate=0.1,
    max_leaf_nodes=4,
    min_samples_leaf=2,
    l2_regularization=0.0,
    max_features=1.0,
)


class Canvases:
    """Contrast kept in memory, counting what is asked for."""

    def __init__(self, count: int) -> None:
        self.images = torch.randn(count, 1, 24, 24, generator=torch.Generator().manual_seed(3))
        self.largest = 0

    def __len__(self) -> int:
        return len(self.images)

    def contrast(self, index: slice, scale: float) -> torch.Tensor:
        part = self.images[index] / scale
        self.largest = max(self.largest, len(part))
        return part


def spec(model, **changes) -> ModelSpec:
    content = {
        "model": model,
        "canvas": 24,
        "scale": 0.5,
        "channels": ("Ch1",),
        "tasks": tasks(asked("abc", DNA={"column": "DNA", "unit": "counts"}, size={"column": "s"})),
        "target_mean": (100.0, -2.0),
        "target_std": (10.0, 0.5),
        "has_cam": model is NETWORK,
        "seed": 7,
        "data_digest": "0" * 64,
    }
    return ModelSpec(**{**content, **changes})


@pytest.fixture(params=["network", "boosting"])
def trained(request) -> TrainedModel:
    torch.manual_seed(0)
    if request.param == "network":
        network = build_model(NETWORK, 3, 2)
        network.train()
        network(torch.randn(8, 1, 24, 24))  # moves the running statistics
        return TrainedModel(network, spec(NETWORK))
    images = Canvases(60).images
    targets = np.random.default_rng(0).normal(size=(60, 2))
    truth = np.column_stack([np.arange(60) % 3, targets])
    features = Features()(images).numpy()
    return TrainedModel(
        fit_boosting(Examples(features, truth), blobs(3, 2), BOOSTING, 0), spec(BOOSTING)
    )


def test_a_saved_model_predicts_the_same_after_loading(trained, tmp_path):
    before = trained.predict(Canvases(10))
    save_trained(tmp_path / "model", trained)
    loaded = load_trained(tmp_path / "model")
    assert loaded.spec == trained.spec
    after = loaded.predict(Canvases(10))
    assert before.keys() == after.keys() == {"logits", "targets", "cam", "embedding"}
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name])


def test_prediction_streams_and_does_not_depend_on_the_batch(trained):
    canvases = Canvases(11)
    whole, parts = trained.predict(canvases), trained.predict(canvases, batch=4)
    for name, values in whole.items():
        if values is None:
            assert parts[name] is None
            assert not trained.spec.has_cam
        else:
            np.testing.assert_allclose(values, parts[name], rtol=1e-4, atol=1e-4)
            assert values.dtype == np.float32
    streamed = Canvases(11)
    trained.predict(streamed, batch=4)
    assert streamed.largest == 4


def test_prediction_uses_scale_and_maps_targets_back(trained):
    canvases = Canvases(5)
    with torch.inference_mode():
        outputs = trained.network.eval()(canvases.images / 0.5)
    expected = outputs.targets.numpy() * [10.0, 0.5] + [100.0, -2.0]
    np.testing.assert_allclose(trained.predict(canvases)["targets"], expected, rtol=1e-5)
    np.testing.assert_array_equal(trained.predict(canvases)["logits"], outputs.logits.numpy())


def test_no_cells_give_empty_arrays(trained):
    empty = trained.predict(Canvases(0))
    assert empty["logits"].shape == (0, 3)
    assert empty["targets"].shape == (0, 2)


def test_same_model_same_bytes_and_nothing_else(trained, tmp_path):
    for name in ("one", "two"):
        save_trained(tmp_path / name, trained)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["model.json", "weights.safetensors"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_channels_last_weights_are_saved_alike(tmp_path):
    torch.manual_seed(0)
    network = build_model(NETWORK, 3, 2)
    save_trained(tmp_path / "one", TrainedModel(network, spec(NETWORK)))
    network.to(memory_format=torch.channels_last)
    save_trained(tmp_path / "two", TrainedModel(network, spec(NETWORK)))
    one, two = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("one", "two"))
    assert one == two


def rewrite(directory, change) -> None:
    path = directory / "model.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    save_trained(tmp_path / "model", TrainedModel(build_model(NETWORK, 3, 2), spec(NETWORK)))
    return tmp_path / "model"


def test_changed_weights_are_refused(saved):
    path = saved / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"weights\.safetensors has digest"):
        load_trained(saved)


@pytest.mark.parametrize("version", [1, "2", None])
def test_another_format_is_refused(saved, version):
    rewrite(saved, lambda content: content.update(format=version))
    with pytest.raises(StageInputError, match="reads format 2"):
        load_trained(saved)


def test_an_unknown_key_is_refused(saved):
    rewrite(saved, lambda content: content["spec"].update(colour="blue"))
    with pytest.raises(ParameterError, match="colour: unknown key"):
        load_trained(saved)


@pytest.mark.parametrize("key", ["spec", "weights_sha256"])
def test_a_missing_key_is_named(saved, key):
    rewrite(saved, lambda content: content.pop(key))
    with pytest.raises(ParameterError, match=key):
        load_trained(saved)


def test_every_target_needs_its_statistics():
    with pytest.raises(ValueError, match="one entry a value"):
        spec(NETWORK, target_std=(1.0,))


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(StageInputError, match=name):
        load_trained(saved)


@pytest.mark.parametrize("text", ["", "[]", "{half"])
def test_a_damaged_description_is_refused(saved, text):
    (saved / "model.json").write_text(text)
    with pytest.raises(StageInputError, match=r"model\.json"):
        load_trained(saved)


def test_a_spec_of_other_sizes_than_the_weights_is_refused(saved):
    rewrite(saved, lambda content: content["spec"]["tasks"][0]["rules"].pop())
    with pytest.raises(IntegrityError, match="do not fit"):
        load_trained(saved)


def test_the_network_is_in_evaluation_mode_after_loading(saved):
    assert not any(module.training for module in load_trained(saved).network.modules())
