"""Decodes tags of unknown encoding: UTF-8, Shift-JIS or Latin-1."""

SHIFT_JIS = "cp932"
HALF_WIDTH = range(
    0xFF61, 0xFFA0
)  # one-byte katakana, which accented Latin letters would decode to


def tag_text(raw: bytes) -> str:
    """Decode by the likeliest encoding; never fails."""
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
    """Whether all bytes are valid Shift-JIS, and at least half of them are two-byte characters.

    Latin-1 words have fewer accents, and what follows most of them is invalid in Shift-JIS.
    """
    try:
        text = raw.decode(SHIFT_JIS)
    except UnicodeDecodeError:
        return False
    n_wide = len(raw) - len(text)
    return 2 * 2 * n_wide >= len(raw) and not any(ord(char) in HALF_WIDTH for char in text)
