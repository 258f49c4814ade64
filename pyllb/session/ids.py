"""Random ids, of sessions and of builds, in the form that BuildKit's own clients use."""

from __future__ import annotations

import os

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id() -> str:
    """A new random id: 25 characters of 0-9a-z, 129 bits of the system's randomness.

    17 random bytes with the highest bit set, as a base-36 number without its first digit (`identity.NewID`,
    BuildKit 0.33.1). The set bit makes every number 27 digits long, so that no id comes out short.
    """
    number = int.from_bytes(os.urandom(17), "big") | 1 << 135
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits[1:26]
