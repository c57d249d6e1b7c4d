"""The models that can be loaded by a short name.

Their configurations are from the published training recipes; that of a loaded file has precedence.
"""

from dataclasses import dataclass

from audiocodec.model.config import ModelConfig

DEFAULT_MODEL = "tiny_44khz"


@dataclass(frozen=True)
class KnownModel:
    """A model with a name. hub_id: its hub repository. url: where to download it by hand."""

    name: str
    config: ModelConfig
    note: str
    hub_id: str | None = None
    url: str | None = None


_RELEASES = "github.com/descriptinc/descript-audio-codec/releases"


def _at_hop_320(sample_rate: int, n_codebooks: int) -> ModelConfig:
    return ModelConfig(
        sample_rate=sample_rate,
        encoder_strides=(2, 4, 5, 8),
        decoder_strides=(8, 5, 4, 2),
        n_codebooks=n_codebooks,
    )


KNOWN_MODELS = {
    model.name: model
    for model in (
        KnownModel(
            DEFAULT_MODEL,
            ModelConfig(encoder_dim=16, decoder_dim=256),
            "built in: small, for a first try",
        ),
        KnownModel(
            "dac_44khz",
            ModelConfig(),
            "published weights, all kinds of audio",
            hub_id="descript/dac_44khz",
        ),
        KnownModel(
            "dac_44khz_16kbps",
            ModelConfig(n_codebooks=18, latent_dim=128),
            "published weights, a file to download by hand",
            url=f"{_RELEASES}, weights_44khz_16kbps.pth",
        ),
        KnownModel(
            "dac_24khz",
            _at_hop_320(24000, n_codebooks=32),
            "published weights",
            hub_id="descript/dac_24khz",
        ),
        KnownModel(
            "dac_16khz",
            _at_hop_320(16000, n_codebooks=12),
            "published weights, speech",
            hub_id="descript/dac_16khz",
        ),
    )
}
