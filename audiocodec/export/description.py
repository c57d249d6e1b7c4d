"""Describes exported models: metadata in the ONNX files, model.json, and README.md."""

import json
from typing import Any

from audiocodec.codec import Codec

OPSET = 17  # read by every onnxruntime since 1.12
ENCODER, DECODER, FACTS, README = "encoder.onnx", "decoder.onnx", "model.json", "README.md"

_README = """# {name} as ONNX

A neural audio codec of the Descript Audio Codec architecture (arXiv 2306.06546), exported by
`audiocodec`. It needs only onnxruntime, or another runtime for ONNX opset {opset}.

| file | from | to |
|---|---|---|
| `encoder.onnx` | `audio` float32 (batch, 1, samples) | `codes` int64 (batch, {n}, frames) |
| `decoder.onnx` | `codes` int64 (batch, 1 to {n}, frames) | `audio` float32 (batch, 1, samples) |

Batch size and length are free, but not zero: an error in the node `audio_has_no_samples` or
`codes_have_no_frames` means that the input was empty. Audio is mono at {rate} Hz, full scale 1.0;
put the channels of stereo audio into the batch. frames = ceil(samples / {hop}); zeros fill up the
last frame. {decoded}

The decoder takes any number of the first codebooks: `codes` of all {n} are {kbps:.2f} kbps,
`codes[:, :{few}]` are {few_kbps:.2f} kbps. Codes are whole numbers from 0 to {last}.

```python
import json
import numpy as np
import onnxruntime

rate = json.load(open("model.json"))["sample_rate"]
encoder = onnxruntime.InferenceSession("encoder.onnx")
decoder = onnxruntime.InferenceSession("decoder.onnx")
sound = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)  # or your own, mono, at this rate
(codes,) = encoder.run(["codes"], {{"audio": sound.astype(np.float32)[None, None]}})
(audio,) = decoder.run(["audio"], {{"codes": codes}})
print(codes.shape, audio[0, 0, : len(sound)])
```

Memory grows with the length of one call. Cut long audio into blocks of whole frames and extend each
block by its neighbours: {before} frames on each side to encode, {after} to decode. Afterwards drop
the codes or samples of those frames: the rest equals that of the whole audio.

The codes equal those of `audiocodec` except in ties, where two codebook entries are equally near up
to rounding. Only models of the same code space can decode them: `{fingerprint}`.
The level of the audio is not changed; `audiocodec encode` first brings it to -16 LUFS.
`model.json` has the numbers of this page for programs. The licence is that of the model's weights.
"""


def facts_of(codec: Codec) -> dict[str, Any]:
    """What a program must know to use the files: the content of model.json."""
    config = codec.config
    audio = _tensor("audio", "float32", "batch", 1, "samples")
    codes = _tensor("codes", "int64", "batch", codec.n_codebooks, "frames")
    some_codes = _tensor("codes", "int64", "batch", "codebooks", "frames")
    return {
        "format": "audiocodec onnx 1",
        "opset": OPSET,
        "name": codec.name,
        "fingerprint": codec.fingerprint,
        "sample_rate": codec.sample_rate,
        "hop": codec.hop,
        "n_codebooks": codec.n_codebooks,
        "codebook_size": config.codebook_size,
        "alignment": config.alignment,
        "missing_samples": _missing_samples(codec),
        "encoder": {
            "file": ENCODER,
            "inputs": [audio],
            "outputs": [codes],
            "context_frames": -(-config.encoder_reach // config.hop),
        },
        "decoder": {
            "file": DECODER,
            "inputs": [some_codes],
            "outputs": [audio],
            "context_frames": config.decoder_context,
        },
    }


def metadata_of(codec: Codec) -> dict[str, str]:
    """The same facts for each file's metadata_props, without those that ONNX itself stores."""
    return {
        name: str(value)
        for name, value in facts_of(codec).items()
        if name != "opset" and not isinstance(value, dict)
    }


def facts_json(codec: Codec) -> str:
    """The text of model.json."""
    return json.dumps(facts_of(codec), indent=2) + "\n"


def readme(codec: Codec) -> str:
    """The text of README.md."""
    facts, config = facts_of(codec), codec.config
    return _README.format(
        name=codec.name,
        opset=OPSET,
        n=codec.n_codebooks,
        rate=codec.sample_rate,
        hop=codec.hop,
        decoded=_decoded_length(codec),
        kbps=config.kbps,
        few=-(-codec.n_codebooks // 3),
        few_kbps=config.kbps_of(-(-codec.n_codebooks // 3)),
        last=config.codebook_size - 1,
        before=facts["encoder"]["context_frames"],
        after=facts["decoder"]["context_frames"],
        fingerprint=codec.fingerprint,
    )


def _missing_samples(codec: Codec) -> int:
    """How many samples the "published" alignment leaves out, whatever the number of frames."""
    return codec.hop - codec.config.decoded_length(1)


def _decoded_length(codec: Codec) -> str:
    if missing := _missing_samples(codec):
        return (
            f"The decoder gives frames * {codec.hop} - {missing} samples, as the published models "
            f"do: the audio starts {missing} samples early."
        )
    return f"The decoder gives frames * {codec.hop} samples; cut them to the length of the audio."


def _tensor(name: str, dtype: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}
