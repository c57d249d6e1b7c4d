"""Text of tags whose encoding nobody states: UTF-8, Shift-JIS or Latin-1."""

SHIFT_JIS = "cp932"
HALF_WIDTH = range(0xFF61, 0xFFA0)  # katakana of one byte, which Latin letters look like


def tag_text(raw: bytes) -> str:
    """Decode by what the bytes look like; any bytes give a text."""
    raw = raw.split(b"\0")[0]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    if _looks_japanese(raw):
        return raw.decode(SHIFT_JIS)
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _looks_japanese(raw: bytes) -> bool:
    """Whether it is Shift-JIS throughout, and half of it or more are characters of two bytes.

    In Latin-1 words, accents are fewer, and most of them are followed by what Shift-JIS forbids.
    """
    try:
        text = raw.decode(SHIFT_JIS)
    except UnicodeDecodeError:
        return False
    n_wide = len(raw) - len(text)
    return 2 * 2 * n_wide >= len(raw) and not any(ord(char) in HALF_WIDTH for char in text)
