"""The published tool, descript-audio-codec."""

from pathlib import Path
from typing import Any

from torch import Tensor

from audiocodec.lab.systems.base import package
from audiocodec.lab.systems.published import renamed
from audiocodec.lab.systems.whole_pass import WholePass
from audiocodec.lab.systems.workloads import FILES, TENSORS, Work, Workload, noise_file
from audiocodec.model.network import DAC
from audiocodec.weights.layouts import published_names


class DacTool(WholePass):
    """descript-audio-codec as users call it, which computes weight norm in every pass."""

    timed_title = "descript-audio-codec"
    operations = TENSORS + FILES

    def made(self, model: DAC) -> Any:
        """See WholePass."""
        tool, c = package("dac", "pip install descript-audio-codec"), model.config
        network = tool.DAC(
            encoder_dim=c.encoder_dim,
            encoder_rates=list(c.encoder_strides),
            latent_dim=c.latent_dim,
            decoder_dim=c.decoder_dim,
            decoder_rates=list(c.decoder_strides),
            n_codebooks=c.n_codebooks,
            codebook_size=c.codebook_size,
            codebook_dim=c.codebook_dim,
            sample_rate=c.sample_rate,
        )
        names = {ours: theirs for theirs, ours in published_names(c).items()}
        network.load_state_dict(_with_weight_norm(renamed(model.state_dict(), names)))
        return network.eval()

    def encode(self, audio: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.encode(audio)[1]

    def decode(self, codes: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.decode(self.network.quantizer.from_codes(codes)[0])

    def prepare(self, workload: Workload) -> Work:
        """See TimedSystem. Files are coded in windows of one second, the default of compress()."""
        if workload.operation not in FILES:
            return super().prepare(workload)
        source = noise_file(self.spec.folder, self.config.sample_rate, workload.audio_s)
        target = Path(self.spec.folder, "dac.dac")
        if workload.operation == "compress":
            return lambda: self.network.compress(source).save(target)
        self.network.compress(source).save(target)
        return lambda: self.network.decompress(target).write(target.with_suffix(".wav"))


def _with_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Split weights into magnitude and direction, as descript-audio-codec stores them."""
    result = {}
    for key, tensor in state.items():
        if key.endswith(".weight") and "codebook" not in key:
            result[f"{key}_v"] = tensor
            result[f"{key}_g"] = tensor.flatten(1).norm(dim=1).view(-1, 1, 1)
        else:
            result[key] = tensor
    return result
