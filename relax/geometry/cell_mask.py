"""Masks of the strain of a cell as one word: the axes along which it may change, or its components.

Without numpy: the command checks such words before it reads a structure.
"""

from __future__ import annotations

__all__ = ["MASK_WORDS", "is_mask", "named_axes", "named_mask"]

COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")
"""The components of a strain in Voigt order, as in the masks of ASE."""

MASK_WORDS = f"axes such as xy, or six digits for {', '.join(COMPONENTS)}, 1 for those that may change"
"""What a mask may be, for messages."""


def named_axes(word: str) -> str:
    """Return the Cartesian axes that a mask names, such as ``"xy"``; an empty string if it names none."""
    return word if word and len(set(word)) == len(word) and set(word) <= set("xyz") else ""


def is_mask(word: str) -> bool:
    """Return whether :func:`named_mask` knows the word."""
    digits = len(word) == len(COMPONENTS) and set(word) <= set("01") and "1" in word
    return digits or bool(named_axes(word))


def named_mask(word: str) -> tuple[bool, ...]:
    """Return the six truth values (xx, yy, zz, yz, xz, xy) that a word means.

    Parameters
    ----------
    word
        Cartesian axes, such as ``"xy"`` for xx, yy and xy, or six digits of 0 and 1, such as ``"111000"``.

    Raises
    ------
    ValueError
        It is neither.
    """
    if not is_mask(word):
        raise ValueError(f"the mask {word!r} is not allowed; give {MASK_WORDS}")
    if axes := named_axes(word):
        return tuple(set(component) <= set(axes) for component in COMPONENTS)
    return tuple(digit == "1" for digit in word)
