"""The model card saved beside the weights."""

from audiocodec.model.config import ModelConfig

_CARD = """---
library_name: audiocodec
tags:
- audio
- neural-audio-codec
---

# {name}

A neural audio codec of the Descript Audio Codec architecture (arXiv 2306.06546), in the layout
of the `audiocodec` library: `config.json` and `model.safetensors`.

| | |
|---|---|
| sample rate | {c.sample_rate} Hz |
| hop | {c.hop} samples, {c.frame_rate:.2f} frames a second |
| codes | {c.n_codebooks} codebooks of {c.codebook_size} entries |
| nominal bit rate | {c.kbps:.2f} kbps a channel |
| code space | `{fingerprint}` |

```python
from audiocodec import Codec

codec = Codec.from_pretrained("PATH_OR_REPOSITORY")
codec.compress("speech.wav", "speech.dac")
codec.decompress("speech.dac", "decoded.wav")
```

Add here what it was trained on, under which licence it may be used, and how it performs on audio
that it was not trained on.
"""


def model_card(config: ModelConfig, name: str, fingerprint: str) -> str:
    """The text of README.md for a saved model, as far as its configuration tells."""
    return _CARD.format(name=name, c=config, fingerprint=fingerprint)
