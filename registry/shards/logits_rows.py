"""What the record root of a logits shard commits to: one leaf a row.

    leaf data = salt (16) ‖ record id (32) ‖ SHA-256(values of n_pos, first_pos, ids_sha256, k, ids … tokens)

in the framing of `records.py`; bytes are framed as strings are.
"""

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct as Packing

import numpy as np
from numpy.typing import NDArray

NO_IDS = bytes(32)
"""`ids_sha256` of a row without positions."""

_present = Packing(">BQ").pack


def ids_digest(input_ids: NDArray[np.uint32]) -> bytes:
    """SHA-256 of token ids as little-endian u32."""
    return sha256(np.ascontiguousarray(input_ids, dtype="<u4").tobytes()).digest()


def values_digest(n_pos: int, first_pos: int, ids: bytes, blobs: Iterable[bytes]) -> bytes:
    """SHA-256 over the values of a row's columns beside salt and record id."""
    digest = sha256()
    for value in (b"%d" % n_pos, b"%d" % first_pos, ids, *blobs):
        digest.update(_present(1, len(value)))
        digest.update(value)
    return digest.digest()
