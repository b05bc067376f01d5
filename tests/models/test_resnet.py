import pytest
import torch
import torchvision
from timm.models.resnet import Bottleneck
from timm.models.resnet import ResNet as TimmResNet

from unstained.config.networks import NetworkParams
from unstained.models.network import scaled
from unstained.models.networks.resnet import ResNet


def params(**changes) -> NetworkParams:
    base = {"architecture": "resnet50", "width": 0.125, "depth": (1, 1, 1, 1), "stem_stride": 2}
    return NetworkParams(**{**base, **changes})


FULL = {"width": 1.0, "depth": (3, 4, 6, 3)}


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("classes", "count"), [(1000, 25_557_032), (3, 23_514_179)])
def test_parameter_count_is_that_of_resnet50(classes, count):
    with torch.device("meta"):
        assert parameters(ResNet(params(**FULL), classes, 0, 3)) == count


def test_a_target_adds_its_linear_head_only():
    with torch.device("meta"):
        assert parameters(ResNet(params(**FULL), 3, 2, 3)) == 23_514_179 + 2 * (2048 + 1)


def test_full_width_is_torchvision_resnet50_with_the_same_weights():
    torch.manual_seed(0)
    reference = torchvision.models.resnet50(num_classes=7).eval()
    network = ResNet(params(**FULL), 7, 0, 3).eval()
    network.load_state_dict(reference.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(images).logits, reference(images))


def test_width_scales_the_stem_and_everything_after_it():
    network = ResNet(params(width=0.25), 3, 0)
    assert network.conv1.out_channels == 16
    assert network.layer1[0].conv1.in_channels == 16
    assert network.embedding_size == 512
    assert [scaled(64, w) for w in (0.01, 0.25, 0.3, 1.0)] == [8, 16, 16, 64]


def test_narrow_trunk_computes_what_timm_computes():
    network = ResNet(params(width=1.0, depth=(1, 2, 1, 1)), 3, 0, 1).eval()
    reference = TimmResNet(Bottleneck, (1, 2, 1, 1), num_classes=3, in_chans=1).eval()
    reference.load_state_dict(network.state_dict())
    image = torch.randn(1, 1, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(network(image).logits, reference(image))


@pytest.mark.parametrize(("stride", "side"), [(2, 2), (1, 4)])
def test_stem_stride_one_doubles_the_last_map(stride, side):
    network = ResNet(params(stem_stride=stride), 3, 1).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 64, 64)).cam.shape == (1, 3, side, side)


@pytest.mark.parametrize("shape", [(1, 1), (17, 40), (40, 40), (72, 65)])
def test_any_height_and_width_and_a_batch_of_one(shape):
    network = ResNet(params(), 3, 2).eval()
    with torch.inference_mode():
        outputs = network(torch.randn(1, 1, *shape))
    assert outputs.logits.shape == (1, 3)
    assert outputs.targets.shape == (1, 2)
    assert all(torch.isfinite(part).all() for part in outputs)


def test_map_of_class_evidence_adds_up_to_the_logit():
    network = ResNet(params(stem_stride=1), 4, 1).double().eval()
    with torch.inference_mode():
        outputs = network(torch.randn(3, 1, 40, 56, dtype=torch.float64))
    summed = outputs.cam.mean(dim=(2, 3)) + network.fc.bias
    torch.testing.assert_close(summed, outputs.logits, rtol=0, atol=1e-12)


def test_map_of_class_evidence_is_grad_cam():
    network = ResNet(params(), 3, 0).double().eval()
    images = torch.randn(2, 1, 64, 64, dtype=torch.float64)
    maps = network.features(images).detach().requires_grad_()
    logit = network.fc(maps.mean(dim=(2, 3)))[:, 1].sum()
    (gradient,) = torch.autograd.grad(logit, maps)
    grad_cam = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1)
    pixels = maps.shape[2] * maps.shape[3]
    torch.testing.assert_close(network(images).cam[:, 1] / pixels, grad_cam)


def test_no_targets_give_an_empty_column():
    network = ResNet(params(), 3, 0).eval()
    assert network(torch.zeros(2, 1, 32, 32)).targets.shape == (2, 0)


def test_dropout_acts_on_the_heads_while_training_only():
    network = ResNet(params(dropout=0.5), 3, 1).eval()
    images = torch.randn(8, 1, 32, 32)
    torch.testing.assert_close(network(images).logits, network(images).logits)
    network.dropout.train()
    assert not torch.equal(network(images).logits, network(images).logits)
    torch.testing.assert_close(network(images).embedding, network(images).embedding)
