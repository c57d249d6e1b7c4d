"""What is said of exported files: in each of them, in model.json, and in README.md."""

import json
from typing import Any

from audiocodec.codec import Codec

OPSET = 17  # read by every onnxruntime since 1.12
ENCODER, DECODER, FACTS, README = "encoder.onnx", "decoder.onnx", "model.json", "README.md"

_README = """# {name} as ONNX

A neural audio codec of the Descript Audio Codec architecture (arXiv 2306.06546), exported by
`audiocodec`. onnxruntime, or another runtime for ONNX opset {opset}, is all it needs.

| file | from | to |
|---|---|---|
| `encoder.onnx` | `audio` float32 (batch, 1, samples) | `codes` int64 (batch, {n}, frames) |
| `decoder.onnx` | `codes` int64 (batch, 1 to {n}, frames) | `audio` float32 (batch, 1, samples) |

Batch and length are free, one sample or frame or more: an error in the node `audio_has_no_samples`
or `codes_have_no_frames` says that there was none. Audio is mono at {rate} Hz, full scale 1.0; put
the channels of a stereo sound into the batch. frames = ceil(samples / {hop}); zeros fill the last
frame. {decoded}

The decoder takes the first codebooks, any number of them: `codes` of all {n} are {kbps:.2f} kbps,
`codes[:, :{few}]` {few_kbps:.2f} kbps. Codes are whole numbers from 0 to {last}.

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

Memory grows with the length of one call. Cut a long sound into blocks of whole frames and give
each block what stands beside it: {before} frames on each side to encode, {after} to decode. Drop
the codes or samples of those frames afterwards: what remains is that of the whole sound.

Codes are the same as those of `audiocodec` but for ties: two entries equally near but for
rounding. They mean something to models of one code space: `{fingerprint}`.
The level of the sound is taken as it comes; `audiocodec encode` brings it to -16 LUFS first.
`model.json` has the numbers of this page for programs. The licence is that of the model's weights.
"""


def facts_of(codec: Codec) -> dict[str, Any]:
    """What a program must know to use the files, for model.json."""
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
    """The same, without what ONNX says itself, for each file's metadata_props."""
    return {
        name: str(value)
        for name, value in facts_of(codec).items()
        if name != "opset" and not isinstance(value, dict)
    }


def facts_json(codec: Codec) -> str:
    """model.json."""
    return json.dumps(facts_of(codec), indent=2) + "\n"


def readme(codec: Codec) -> str:
    """README.md."""
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
    """What the "published" alignment leaves out of any number of frames."""
    return codec.hop - codec.config.decoded_length(1)


def _decoded_length(codec: Codec) -> str:
    if missing := _missing_samples(codec):
        return (
            f"Decoded are frames * {codec.hop} - {missing} samples, as by the published models: "
            f"the sound starts {missing} samples early."
        )
    return f"Decoded are frames * {codec.hop} samples; cut them to the length of the sound."


def _tensor(name: str, dtype: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}
