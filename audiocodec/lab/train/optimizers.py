"""Assigns parameters to optimisers, and sets their learning rates."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from audiocodec.lab.train.muon import Muon
from audiocodec.lab.train.settings import TrainSettings
from audiocodec.model.network import DAC

MATRIX = 16  # smallest dimension of a weight that counts as a matrix
DISCRIMINATORS = "discriminators"  # keys of the optimisers
QUANTIZER = "quantizer"


class Optimizers:
    """AdamW for all parameters, or Muon for the networks' matrices if so set."""

    def __init__(
        self, model: DAC, discriminators: nn.Module | None, settings: TrainSettings
    ) -> None:
        self.settings, self.scale = settings, 1.0  # scale: factor on all rates
        chosen = settings.optimisation
        networks = [*model.encoder.parameters(), *model.decoder.parameters()]
        matrices = [p for p in networks if chosen.muon and _is_matrix(p)]
        taken = set(map(id, matrices))
        self.by_name: dict[str, Optimizer] = {
            "networks": self._adamw(p for p in networks if id(p) not in taken),
            QUANTIZER: self._adamw(p for p in model.quantizer.parameters() if p.requires_grad),
        }
        if matrices:
            self.by_name["matrices"] = Muon(matrices, weight_decay=chosen.weight_decay)
        if discriminators is not None:
            self.by_name[DISCRIMINATORS] = self._adamw(discriminators.parameters())

    def _adamw(self, parameters: Iterable[Tensor]) -> AdamW:
        chosen = self.settings.optimisation
        betas = (chosen.beta1, chosen.beta2)
        return AdamW(list(parameters), betas=betas, weight_decay=chosen.weight_decay)

    def lr_at(self, name: str, step: int) -> float:
        """Learning rate of one optimiser at a step, before `scale`."""
        quantizer, chosen = self.settings.quantizer, self.settings.optimisation
        scale = {
            QUANTIZER: quantizer.quantizer_lr * (step >= quantizer.quantizer_from),
            DISCRIMINATORS: chosen.lr_discriminators,
        }
        return chosen.lr_at(step) * scale.get(name, 1.0)

    def set_rates(self, step: int) -> None:
        """Set every optimiser's learning rate for a step; rates held in tensors stay tensors."""
        for name, optimizer in self.by_name.items():
            rate = self.scale * self.lr_at(name, step)
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)  # a CUDA graph reads it there
                else:
                    group["lr"] = rate

    def step(self, discriminators: bool) -> None:
        """Update the discriminators, or everything else."""
        for name, optimizer in self.by_name.items():
            if (name == DISCRIMINATORS) == discriminators:
                optimizer.step()


def _is_matrix(weight: Tensor) -> bool:
    return weight.dim() > 1 and min(weight.flatten(1).shape) >= MATRIX
