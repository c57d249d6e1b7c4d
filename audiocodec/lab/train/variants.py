"""Network variants for the paper's ablations, made by changing an ordinary model in place.

For training only: Codec runs only a model that is `inference_ready`. Apply them before optimizers,
averages and torch.compile are made. Look-up without factorization needs no variant: it is
ModelConfig(codebook_dim=...).
Shapes: B batch, d codebook channels, T frames.
"""

from collections.abc import Callable, Collection
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.errors import ArgumentError
from audiocodec.model.config import ModelConfig
from audiocodec.model.layers import Snake
from audiocodec.model.network import DAC
from audiocodec.model.quantizer import VectorQuantizer

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),  # the discriminators' slope
}
EUCLIDEAN, ROTATION = "euclidean_lookup", "rotation_trick"
SHORTEST = 1e-6  # smallest length of a projected vector in the rotation trick, which divides by it


def use_activation(model: DAC, name: str) -> None:
    """Replace every Snake of encoder and decoder by "relu" or "leaky_relu"; "snake" keeps them.

    Raises ArgumentError for another name, or where they have been replaced already.
    """
    if name != "snake" and name not in ACTIVATIONS:
        raise ArgumentError(f"activation {name!r} is none of snake, {', '.join(ACTIVATIONS)}")
    if not any(isinstance(module, Snake) for module in model.modules()):
        raise ArgumentError("this model's Snake activations are replaced already; build a new one")
    if name == "snake":
        return
    for parent in [*model.encoder.modules(), *model.decoder.modules()]:
        for child_name, child in list(parent.named_children()):
            if isinstance(child, Snake):
                setattr(parent, child_name, ACTIVATIONS[name]())


def use_euclidean_lookup(model: DAC) -> None:
    """Look entries up by distance instead of by angle: no l2 normalization (section 3.2)."""
    for stage in _study(model):
        stage.euclidean = True


def use_rotation_trick(model: DAC) -> None:
    """Pass gradients through the quantizer by rotation instead of straight through.

    Source: arXiv 2410.06424, section 4. Only training changes: the model is an ordinary one.
    """
    for stage in _study(model):
        stage.rotation = True


def variants_of(model: DAC) -> set[str]:
    """Names of the variants in a model: activations other than Snake, EUCLIDEAN, ROTATION."""
    kinds = {type(make()): name for name, make in ACTIVATIONS.items()}
    networks = (*model.encoder.modules(), *model.decoder.modules())
    found = {kinds[type(module)] for module in networks if type(module) in kinds}
    for stage in model.quantizer.stages:
        if isinstance(stage, StudiedQuantizer):
            found |= {EUCLIDEAN} if stage.euclidean else set()
            found |= {ROTATION} if stage.rotation else set()
    return found


def rebuilt(config: ModelConfig, names: Collection[str]) -> DAC:
    """A new model with the variants that `variants_of` returned."""
    model = DAC(config)
    use_activation(model, next((name for name in names if name in ACTIVATIONS), "snake"))
    if EUCLIDEAN in names:
        use_euclidean_lookup(model)
    if ROTATION in names:
        use_rotation_trick(model)
    return model


def inference_ready(model: DAC) -> bool:
    """Whether Codec can run the model: activations are Snake, and look-up is by angle."""
    return variants_of(model) <= {ROTATION}


class StudiedQuantizer(VectorQuantizer):
    """A codebook with other choices of look-up and of gradient estimator.

    Takes over the layers of an ordinary one, so that parameters and their names stay.
    """

    def __init__(self, config: ModelConfig, ordinary: VectorQuantizer) -> None:
        with torch.device("meta"):  # its layers are replaced: no memory, no random draws
            super().__init__(config)
        self.in_proj, self.out_proj = ordinary.in_proj, ordinary.out_proj
        self.codebook = ordinary.codebook
        self.euclidean = self.rotation = False
        self.train(ordinary.training)

    def nearest(self, projected: Tensor) -> Tensor:
        """(B, d, T) -> codes (B, T): the entry at the smallest angle, or distance if euclidean."""
        if not self.euclidean:
            return super().nearest(projected)
        table = self.codebook.weight
        # |v - e|^2 without |v|^2, which is the same for all entries, times -1/2.
        scores = projected.transpose(1, 2) @ table.T - table.square().sum(dim=-1) / 2
        return scores.argmax(dim=-1)

    def pass_through(self, projected: Tensor, entries: Tensor) -> Tensor:
        """The entries' values (B, d, T) with a gradient for the projected vectors (B, d, T)."""
        if not self.rotation:
            return super().pass_through(projected, entries)
        turned = rotated(projected, entries)
        return turned + (entries - turned).detach()  # exact values even for nearly opposite vectors


def rotated(vectors: Tensor, targets: Tensor) -> Tensor:
    """Vectors e (B, d, T) turned and scaled onto targets q (B, d, T): (|q| / |e|) R e.

    R is the rotation in the plane of e and q. R and the scale are treated as constants, so that a
    gradient has the same angle to e as it had to q (arXiv 2410.06424, section 4).
    """
    with torch.no_grad():
        e, q = F.normalize(vectors, dim=1), F.normalize(targets, dim=1)
        r = F.normalize(e + q, dim=1)
        lengths = vectors.norm(dim=1, keepdim=True).clamp(min=SHORTEST)
        scale = targets.norm(dim=1, keepdim=True) / lengths
    mirrored = vectors - 2 * r * (r * vectors).sum(dim=1, keepdim=True)
    return scale * (mirrored + 2 * q * (e * vectors).sum(dim=1, keepdim=True))


def _study(model: DAC) -> list[StudiedQuantizer]:
    """Turn the model's codebooks into StudiedQuantizers, and return them."""
    stages, studied = cast(nn.ModuleList, model.quantizer.stages), []
    for i, stage in enumerate(model.quantizer.stages):
        if not isinstance(stage, StudiedQuantizer):
            stage = StudiedQuantizer(model.config, stage)
            stages[i] = stage
        studied.append(stage)
    return studied
