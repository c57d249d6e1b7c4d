"""Every error that a person can act on.

CodecError                   the command prints it as one line and exits with 1
|-- ArgumentError            a wrong argument; a ValueError too
|   `-- CodesError           codes of a wrong shape, range or codebook count
|-- AudioError               a sound file or array that cannot be used
|-- ModelError               weights that cannot be found, read or used
|-- OutputError              cannot be written: no such folder, no permission, disk full
|   `-- OutputExists         refuses to overwrite
`-- ContainerError           a .dac file that cannot be used
    |-- NotADacFile          another kind of file
    |-- UnsupportedVersion   made by a newer version
    |-- DamagedHeader        the header is cut or altered: nothing can be decoded
    |-- DamagedBlock         one block is cut or altered: the rest can be recovered
    |-- TruncatedFile        the end is missing
    `-- ModelMismatch        made with another model

Every message is one printable line of bounded length, whatever a file or a library put into it.
"""

import reprlib

MAX_MESSAGE = 2000  # characters: a screenful


def printable(text: str) -> str:
    """Text with its control characters escaped, so that a file cannot control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: object, limit: int = 200) -> str:
    """Text of a library, for a message: one printable line, cut to `limit` characters."""
    return _cut(printable(_cut(" ".join(filter(None, str(text).splitlines())), limit)), limit)


def quoted(value: object, limit: int = 80) -> str:
    """A name or value that a file holds, for a message: 'decoder.bias', 12, ['a', 'b'].

    As Python writes it, on one printable line, cut to `limit` characters.
    """
    short = reprlib.Repr()
    short.maxstring = short.maxlong = short.maxother = limit
    try:
        return one_line(short.repr(value), limit)
    except ValueError:  # Python refuses to write an integer of more than 4300 digits
        return "a number of thousands of digits"


def _cut(text: str, limit: int) -> str:
    """Shorten a text to `limit` characters by leaving out its middle."""
    if len(text) <= limit:
        return text
    end = limit // 3
    return f"{text[: limit - end - 3]}...{text[-end:]}"


class CodecError(Exception):
    """Base of all errors that audiocodec raises on purpose."""

    def __str__(self) -> str:
        return one_line(self.message(), MAX_MESSAGE)

    def message(self) -> str:
        """The message, before it is made one printable line; for subclasses to compose."""
        return super().__str__()


class ArgumentError(CodecError, ValueError):
    """An argument out of range or of a wrong shape."""


class CodesError(ArgumentError):
    """Codes of a wrong shape, out of range, or from more codebooks than the model has."""


class AudioError(CodecError):
    """Audio that cannot be read, or that holds something that is not audio."""


class ModelError(CodecError):
    """A model that cannot be found, fetched, read or used."""


class OutputError(CodecError):
    """A target that cannot be written."""


class OutputExists(OutputError):
    """A target that exists and was not asked to be overwritten."""

    def __init__(self, path: str) -> None:
        super().__init__(path)  # plain arguments survive a process pool
        self.path = path

    def message(self) -> str:
        return f"{self.path}: exists already; overwrite=True (--overwrite) replaces it"


class ContainerError(CodecError):
    """A .dac file that cannot be used as it is."""


class NotADacFile(ContainerError):
    """Another kind of file."""


class UnsupportedVersion(ContainerError):
    """A file of a format version that this release cannot read."""


class DamagedHeader(ContainerError):
    """The header is cut or altered, so nothing can be decoded."""


class DamagedBlock(ContainerError):
    """One block is cut or altered; the others can be recovered."""

    def __init__(self, path: str, index: int, start_s: float, reason: str) -> None:
        super().__init__(path, index, start_s, reason)
        self.path, self.index, self.start_s, self.reason = path, index, start_s, reason

    def message(self) -> str:
        return (
            f"{self.path}: block {self.index}, at {self.start_s:.1f} s, is damaged "
            f"({self.reason}); recover=True (--recover) keeps the rest"
        )


class TruncatedFile(ContainerError):
    """The end of the file is missing."""


class ModelMismatch(ContainerError):
    """The codes were made with another model."""

    def __init__(self, path: str, made_with: str, given: str) -> None:
        super().__init__(path, made_with, given)
        self.path, self.made_with, self.given = path, made_with, given

    def message(self) -> str:
        return (
            f"{self.path}: made with model {self.made_with}, which is not {self.given}; "
            "load the model that made it"
        )
