"""Networks: what can be set of each architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from unstained.config.base import Count, Params, Partial, Positive
from unstained.config.learning import TrainParams
from unstained.config.model_base import ModelBase
from unstained.config.model_input import InputParams

Width = Annotated[Positive, Field(description="multiplies every channel count; 1 is the paper's")]
OutputStride = Annotated[
    Literal[4, 8, 16, 32] | None,
    Field(
        description="pixels between points of the last map; null: as published. Below that, late "
        "stages keep the size of their map and dilate their kernels",
    ),
]


class NetworkBase(ModelBase):
    """What every network has, whatever its architecture."""

    input: InputParams = InputParams()
    train: Annotated[dict[str, Any], Partial(TrainParams)] = Field(
        default_factory=dict, description="what differs from the recipe's `train`, by its keys"
    )
    weights: Literal["none", "imagenet"] = Field(
        default="none", description="what the network starts from (models/imagenet.py)"
    )
    grey_as: Literal["one", "three"] = Field(
        default="one", description="channels that a grey image enters as; three are copies"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("train")
    @classmethod
    def _real_where_real(cls, train: dict[str, Any]) -> dict[str, Any]:
        return real_where_real(TrainParams, train)

    @property
    def learns_by_gradient(self) -> bool:
        """Whether a GPU makes its training faster."""
        return True

    def training(self, common: TrainParams) -> TrainParams:
        """The recipe's training with what this model wants otherwise.

        Raises:
            ValueError: an unknown key or an impossible value.
        """
        content = common.model_dump()
        within = {
            name: content[name] | self.train[name]
            for name in ("augment", "pretraining")
            if name in self.train
        }
        return TrainParams.model_validate(content | self.train | within)


def real_where_real(kind: type[Params], given: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers as real ones where a section's field is real.

    A model's own file keeps what was given, and the JSON on the way to a pod makes 0 of 0.0.

    Args:
        kind: the section.
        given: some of its keys; keys that it lacks stay as they are, for others to refuse.
    """
    found = dict(given)
    for name in found.keys() & kind.model_fields.keys():
        wanted, value = kind.model_fields[name].annotation, found[name]
        if wanted is float and type(value) is int:
            found[name] = float(value)
        elif isinstance(value, dict) and isinstance(wanted, type) and issubclass(wanted, Params):
            found[name] = real_where_real(wanted, value)
    return found


def refuse_stride(stride: int | None, least: int, published: int) -> None:
    """Check an output stride against those that a network can have.

    Raises:
        ValueError: its stem alone strides further, or all of it less far.
    """
    if stride is not None and not least <= stride <= published:
        raise ValueError(f"output_stride is from {least} to {published} here, not {stride}")


class NetworkParams(NetworkBase):
    """ResNet50, CG-RecNet, and CG-RecNet with attention alone (ResCMNet) or gate alone (ResGDNet).

    `preset` chooses between the readings of the paper: its text, or one of the two configurations
    that reproduce its table of parameter counts. For ResNet50 itself they differ in the head alone.
    """

    architecture: Literal["cg_recnet", "rescmnet", "resgdnet", "resnet50"]
    preset: Literal["text", "table_swapped", "table_printed"] = "text"
    width: Width
    depth: tuple[Count, Count, Count, Count] = Field(description="residual blocks a stage")
    stem_stride: Literal[1, 2] = Field(description="1 keeps resolution for cells up to 96 px")
    channels: tuple[Count, Count, Count, Count] = Field(
        default=(64, 128, 256, 512), description="of a stage at width 1, inside its blocks"
    )
    output_stride: OutputStride = None
    global_scale: Literal["sum", "mean"] = Field(
        default="sum", description="of linear attention over positions; mean: alike at every size"
    )
    gate_activation: Literal["gelu", "sigmoid"] = Field(
        default="gelu", description="of the gated block: MambaOut's, or the paper's eq. 4"
    )

    @model_validator(mode="after")
    def _parts_are_there(self) -> NetworkParams:
        if self.global_scale != "sum" and self.architecture not in ("cg_recnet", "rescmnet"):
            raise ValueError(f"{self.architecture} has no attention that global_scale could set")
        if self.gate_activation != "gelu" and self.architecture not in ("cg_recnet", "resgdnet"):
            raise ValueError(f"{self.architecture} has no gate that gate_activation could set")
        refuse_stride(self.output_stride, 4 * self.stem_stride, 16 * self.stem_stride)
        return self


class DenseNetParams(NetworkBase):
    """DenseNet121 at width 1 and depth 6-12-24-16."""

    architecture: Literal["densenet121"]
    width: Width
    depth: tuple[Count, Count, Count, Count] = Field(description="layers a dense block")
    output_stride: OutputStride = None


class VGGParams(NetworkBase):
    """VGG16 at width 1, depth 2-2-3-3-3 and 4096 hidden features."""

    architecture: Literal["vgg16"]
    width: Width
    depth: tuple[Count, Count, Count, Count, Count] = Field(description="convolutions a stage")
    hidden: Count = Field(description="features of the first fully connected layer; 4096")
    output_stride: OutputStride = None


class MobileNetParams(NetworkBase):
    """MobileNetV2 at width 1 and depth 1-2-3-4-3-3-1."""

    architecture: Literal["mobilenet_v2"]
    width: Width
    depth: tuple[Count, Count, Count, Count, Count, Count, Count] = Field(
        description="inverted residual blocks a stage"
    )
    output_stride: OutputStride = None


class EfficientNetLiteParams(NetworkBase):
    """EfficientNet-Lite0 as published."""

    architecture: Literal["efficientnet_lite0"]
    output_stride: OutputStride = None


class ViTParams(NetworkBase):
    """ViT-B/16 at width 1, depth 12, patch 16 and image 224."""

    architecture: Literal["vit_b_16"]
    width: Width = Field(description="multiplies the 12 heads of 64 channels")
    depth: Count = Field(description="transformer blocks")
    patch: Count = Field(description="side of a patch in pixels")
    image: Count = Field(description="side of the image in pixels: the canvas")

    @model_validator(mode="after")
    def _patches_fit(self) -> ViTParams:
        if self.image % self.patch:
            raise ValueError(f"patches of {self.patch} px do not tile an image of {self.image} px")
        return self


class XceptionParams(NetworkBase):
    """Xception at width 1, depth 8 and a stem of stride 2."""

    architecture: Literal["xception"]
    width: Width
    depth: Count = Field(description="blocks of the middle flow")
    stem_stride: Literal[1, 2] = Field(description="1 keeps resolution for cells up to 96 px")
    output_stride: OutputStride = None

    @model_validator(mode="after")
    def _stride_fits(self) -> XceptionParams:
        refuse_stride(self.output_stride, 2 * self.stem_stride, 16 * self.stem_stride)
        return self


class OwnNetworkBase(NetworkBase):
    """A network of which no weights are published."""

    weights: Literal["none"] = Field(default="none", description="what it starts from")

    @field_validator("weights", mode="before")
    @classmethod
    def _none_are_published(cls, weights: Any) -> Any:
        if weights == "imagenet":
            raise ValueError("nobody published ImageNet weights of this network; use none")
        return weights


class HybridParams(OwnNetworkBase):
    """The hybrid network of Nazir & Behera 2026, as published or with a gate between branches.

    As published at width 1, depth 2, image 28, patch 4, stem stride 1 and dropout 0.4.
    """

    architecture: Literal["hybrid_paper", "hybrid_gated"]
    width: Width
    depth: Count = Field(description="transformer blocks")
    patch: Count = Field(description="side of a patch in pixels; 4 of 28, or 16 of 128")
    patch_step: Count | None = Field(
        default=None, description="pixels from patch to patch; null: side by side"
    )
    image: Count = Field(description="side of the image in pixels: the canvas")
    stem_stride: Literal[1, 2, 4] = Field(description="of the convolutions; 1 for 28 px")
    branch_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.1, description="inside both branches"
    )
    refinement_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.2, description="inside what refines the features of a task"
    )

    @property
    def patches(self) -> int:
        """Along a side of the image."""
        return (self.image - self.patch) // (self.patch_step or self.patch) + 1

    @model_validator(mode="after")
    def _patches_fit(self) -> HybridParams:
        step = self.patch_step or self.patch
        if self.patch > self.image or (self.image - self.patch) % step:
            raise ValueError(
                f"patches of {self.patch} px every {step} px do not tile an image of "
                f"{self.image} px"
            )
        return self


class PlainCNNParams(OwnNetworkBase):
    """Three stages of convolutions, with attention after each or without."""

    architecture: Literal["plain_cnn", "attention_cnn"]
    width: Width = Field(description="multiplies 64, 128 and 256 channels")
    depth: tuple[Count, Count, Count] = Field(description="convolutions a stage")
    stem_stride: Literal[1, 2, 4] = Field(description="of the first convolution")


class InceptionParams(OwnNetworkBase):
    """A stem and three stages of inception blocks."""

    architecture: Literal["inception"]
    width: Width = Field(description="multiplies 128, 192 and 256 channels")
    depth: tuple[Count, Count, Count] = Field(description="inception blocks a stage")
    stem_stride: Literal[1, 2, 4] = Field(description="of the first convolution")


class FrameNetworkBase(OwnNetworkBase):
    """A network for several frames of a cell, built for images of one size."""

    width: Width = Field(description="multiplies 16, 32 and 64 filters and 64 hidden features")
    frames: Count = Field(default=1, description="images of a cell: studies.<study>.data.frames")
    image: Annotated[int, Field(ge=8)] = Field(
        description="side of the image in pixels: the canvas"
    )


class DifferentialCNNParams(FrameNetworkBase):
    """Streams of frames and of their differences, with hidden features or pooled as they are."""

    architecture: Literal["differential_cnn", "differential_cnn_pooled"]
    streams: tuple[Annotated[str, Field(pattern=r"^(raw|(lag|diff)[1-9][0-9]?)$")], ...] = Field(
        min_length=1,
        description="raw: the frames; lag<k>: differences to the frame k before; diff<k>: k-th "
        "finite differences",
    )
    shared: bool = Field(
        default=False, description="whether all streams of differences have the same weights"
    )

    @model_validator(mode="after")
    def _streams_exist(self) -> DifferentialCNNParams:
        differences = [stream for stream in self.streams if stream != "raw"]
        if len(set(self.streams)) < len(self.streams):
            raise ValueError(f"streams are {', '.join(self.streams)}; name each once")
        if self.shared and len(differences) < 2:
            raise ValueError("weights are shared between two streams of differences or more")
        return self


class CNN3DParams(FrameNetworkBase):
    """Convolutions over space and time together."""

    architecture: Literal["cnn_3d"]
