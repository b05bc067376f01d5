"""Optimisation, augmentation and search."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from unstained.config.base import Count, Params, Positive
from unstained.config.search_space import Space
from unstained.imaging.lens import FLOW_CYTOMETER, Lens


class AugmentParams(Params):
    """Batched augmentation on the device; contrast units are fractions of the background.

    Pixels are those of the canvas, or of `input.side` where a network sees it smaller.
    """

    dihedral: bool = Field(description="the eight symmetries of the square")
    mirror: bool = Field(default=False, description="left and right exchanged, half of the time")
    crop: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="least area of a random crop, resized to the canvas; 1: none. It hides size",
    )
    rotate_degrees: Annotated[float, Field(ge=0, le=30)] = Field(
        default=0.0,
        description="at most, either way; light from the sides does not turn along: few",
    )
    shift_px: Annotated[int, Field(ge=0)]
    scale: Annotated[float, Field(ge=0, lt=0.5)] = Field(description="0.1: 0.9 to 1.1 times")
    gain: Annotated[float, Field(ge=0, lt=1)] = Field(description="contrast gain, plus or minus")
    offset: Annotated[float, Field(ge=0, lt=1)] = Field(description="background offset, sd")
    noise: Annotated[float, Field(ge=0, lt=1)] = Field(description="white noise, sd at most")
    blur_px: Annotated[float, Field(ge=0)] = Field(description="Gaussian blur, sigma at most")
    defocus_um: Annotated[float, Field(ge=0, le=50)] = Field(
        default=0.0,
        description="distance from focus at most (learning/defocus.py); of brightfield images, "
        "through the lens that the next three describe",
    )
    wavelength_um: Positive = Field(default=FLOW_CYTOMETER.wavelength_um, description="of light")
    aperture: Annotated[float, Field(gt=0, lt=FLOW_CYTOMETER.medium_index)] = Field(
        default=FLOW_CYTOMETER.aperture, description="numerical, of the objective"
    )
    condenser: Annotated[float, Field(ge=0)] = Field(
        default=FLOW_CYTOMETER.condenser, description="numerical aperture of the illumination"
    )

    @model_validator(mode="after")
    def _light_passes(self) -> AugmentParams:
        if self.condenser > self.aperture:
            raise ValueError(f"a condenser of {self.condenser:g} is above aperture")
        return self

    @property
    def disturbs(self) -> bool:
        """Whether two views of a cell differ at all."""
        sizes = (
            self.rotate_degrees,
            self.shift_px,
            self.scale,
            self.gain,
            self.offset,
            self.noise,
            self.blur_px,
            self.defocus_um,
        )
        return self.dihedral or self.mirror or self.crop < 1 or any(sizes)

    @property
    def lens(self) -> Lens:
        """What images are defocused through; the medium is water."""
        return Lens(self.wavelength_um, self.aperture, self.condenser, FLOW_CYTOMETER.medium_index)


class PretrainingParams(Params):
    """What a network does before it learns from labels (learning/pretraining.py)."""

    epochs: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="in which it learns from the images of all training cells, labelled or not, "
        "each seen twice, augmented; 0: none",
    )
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: Positive = 1e-3
    expander: Count = Field(default=512, description="features that two views are compared by")


class TrainParams(Params):
    """Optimisation; models on measured features use `patience`, if any of it.

    An ensemble's networks each have all of it, pretraining included.
    """

    epochs: Count
    batch_size: Count
    optimiser: Literal["adamw", "adam"]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    weight_l2: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="lambda: times the sum of squares of all weights of products and "
        "convolutions, added to the loss; 'adamw' decays weights otherwise",
    )
    schedule: Literal["cosine", "plateau", "step", "constant", "onecycle"]
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(description="fraction of all steps")
    patience: Count = Field(description="epochs without a better validation loss before stopping")
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Positive
    target_weight: Annotated[float, Field(ge=0)] = Field(
        description="weight of the continuous targets' loss beside the classes' loss"
    )
    class_weights: Literal["none", "balanced"]
    sampling: Literal["natural", "balanced"] = Field(
        default="natural",
        description="balanced: an epoch draws as many cells of each class of the first classes "
        "task, with replacement; cells without a class as often as there are",
    )
    focal: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="share of the focal loss in that of classes, the rest is log loss"
    )
    focal_gamma: Annotated[float, Field(ge=1, le=10)] = Field(
        default=2.0, description="power that turns the focal loss from cells it is sure of"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="of the log loss: what is spread evenly over the classes"
    )
    logit_adjustment: Annotated[float, Field(ge=0, le=5)] = Field(
        default=0.0,
        description="tau: the loss of classes sees scores + tau log(share of the training cells), "
        "answers are the scores alone: with 1 those of classes that are all as frequent",
    )
    correlation: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="share of 1 - Pearson's r in the loss of values, each by itself"
    )
    correlation_cells: Annotated[int, Field(ge=3)] = Field(
        default=8, description="cells of a batch that recorded a value, for its r to count"
    )
    coupling: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="weight of the squared distance between a value and what the probabilities of "
        "classes let expect of it (learning/coupling.py)",
    )
    coupled: tuple[str, str] | None = Field(
        default=None,
        description="the classes task and the value; null: the study's only ones of their kinds",
    )
    mixup: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="share of batches in which cells and what is asked are mixed"
    )
    mixup_alpha: Positive = Field(default=0.5, description="of the Beta distribution of shares")
    precision: Literal["auto", "float32", "bfloat16"]
    compile: Literal["auto", "on", "off"]
    workers: Count = Field(description="data-parallel processes; the global batch stays the same")
    loading: Literal["auto", "resident", "stream"]
    augment: AugmentParams
    pretraining: PretrainingParams = Field(default=PretrainingParams())

    @model_validator(mode="after")
    def _fits_together(self) -> TrainParams:
        balanced = (self.class_weights == "balanced", self.sampling == "balanced")
        if sum((*balanced, self.logit_adjustment > 0)) > 1:
            raise ValueError(
                "classes are balanced once: by class_weights, by sampling or by logit_adjustment"
            )
        if self.mixup > 0 and self.workers > 1:
            raise ValueError("mixup mixes cells of one process: set workers to 1")
        if self.pretraining.epochs and not self.augment.disturbs:
            raise ValueError(
                "pretraining compares two augmented views of a cell, and augment is all off"
            )
        return self


class TuneParams(Params):
    """Search for `train` or model parameters; trials 1 keeps the parameters as they are."""

    executor: Literal["ray", "inline"]
    trials: Count
    epochs: Count = Field(description="epochs of a trial that ASHA does not stop")
    grace_epochs: Count
    reduction_factor: Annotated[int, Field(ge=2)]
    max_cells: Count = Field(description="training cells that a trial sees at the most")
    concurrent: Count
    network_space: Space = Field(description="of every network that `spaces` does not name")
    spaces: dict[str, Space] = Field(
        default_factory=dict,
        description="by a model's name, instead: dotted parameter -> low, high, log; or choices",
    )

    def space_of(self, model: str, is_network: bool) -> Space:
        """What is searched of a model; nothing of one on measured features without an entry."""
        return self.spaces.get(model, self.network_space if is_network else {})
