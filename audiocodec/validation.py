"""Checks numbers that a caller passes; errors name the wrong one."""

import operator
from numbers import Real

from audiocodec.errors import ArgumentError


def check_int(value: object, what: str) -> int:
    """The value as an int. Raises ArgumentError if it is no whole number."""
    try:
        return int(operator.index(value))  # type: ignore[arg-type]
    except TypeError as error:
        raise ArgumentError(f"{what}: {value!r} is not a whole number") from error


def check_float(value: object, what: str) -> float:
    """The value as a float. Raises ArgumentError if it is no real number."""
    if not isinstance(value, Real):
        raise ArgumentError(f"{what}: {value!r} is not a number")
    return float(value)
