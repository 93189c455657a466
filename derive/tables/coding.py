"""Arrays of numbers as short text: what the cache stores, and what a generated module reads."""

import base64
import re
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS = 57  # numbers are multiples of 2**-BITS, or of more where they are large

_BASE_85 = re.compile(r"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]*")


@dataclass(frozen=True)
class Coded:
    """Multiples of 2**-bits: integers with the sign in the last bit, their bytes in order of significance,
    compressed, in base 85.
    """

    bits: int
    text: str

    def __post_init__(self) -> None:
        if not _BASE_85.fullmatch(self.text):
            raise ValueError("this is no text in base 85")

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers, flat."""
        parts = np.frombuffer(zlib.decompress(base64.b85decode(self.text)), np.uint8).reshape(8, -1)
        whole = np.ascontiguousarray(parts.T).view("<u8").ravel()
        signed = (whole >> np.uint64(1)).astype(np.int64) ^ -(whole & np.uint64(1)).astype(np.int64)
        return np.asarray(signed * 2.0**-self.bits)


def coded(values: NDArray[np.float64]) -> Coded:
    """Finite numbers, rounded to multiples of the same power of 2."""
    bits = min(BITS, 61 - int(np.frexp(np.abs(values).max(initial=1.0))[1]))
    whole = np.round(values.ravel() * 2.0**bits).astype(np.int64)
    unsigned = ((whole << 1) ^ (whole >> 63)).astype("<u8")
    data = np.frombuffer(unsigned.tobytes(), np.uint8).reshape(-1, 8).T
    return Coded(bits, base64.b85encode(zlib.compress(data.tobytes(), 9)).decode())
