"""Top-k log-probabilities as base64 of two matrices: what vLLM gives to completions that ask for `packed_top_logprobs`."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.fields import Fields
from inbond.registry.importers.observed import TokenLogprobs, token_logprobs
from inbond.registry.importers.token_entries import TOKEN_ID


class Packed(msgspec.Struct, forbid_unknown_fields=True):
    """Two little-endian row-major matrices of `shape` [tokens, k]."""

    shape: tuple[int, int]
    token_ids_dtype: str
    logprobs_dtype: str
    token_ids_b64: str
    logprobs_b64: str


def unpack(fields: Fields, packed: Packed, tokens: Sequence[str], chosen: Sequence[float | None]) -> TokenLogprobs | None:
    """What the matrices and the sampled tokens beside them (`token_id:…`) say. `fields` is their object, for Faults."""
    if tuple(packed.shape) != (len(tokens), packed.shape[1]) or packed.shape[1] < 0:
        fields.refuse("packed_top_logprobs.shape", f"[{len(tokens)}, k]", str(list(packed.shape)), "wrong-value")
    ids = _matrix(fields, "token_ids", packed.token_ids_dtype, "<i4", packed.token_ids_b64, packed.shape)
    values = _matrix(fields, "logprobs", packed.logprobs_dtype, "<f4", packed.logprobs_b64, packed.shape)
    matches = [TOKEN_ID.fullmatch(token) for token in tokens]
    if not all(matches):
        wrong = tokens[matches.index(None)]
        fields.refuse("tokens", "token_id:… beside packed ones", repr(wrong[:40]), "wrong-value")
    if not tokens:
        return None
    return token_logprobs(
        [int(match[1]) for match in matches if match],
        chosen,
        [packed.shape[1]] * len(tokens),
        ids.ravel().tolist(),
        values.ravel(),
    )


def _matrix(fields: Fields, name: str, dtype: str, expected: str, text: str, shape: tuple[int, int]) -> NDArray[Any]:
    path = f"packed_top_logprobs.{name}"
    if dtype != expected:
        fields.refuse(f"{path}_dtype", repr(expected), repr(dtype[:20]), "wrong-value")
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        fields.refuse(f"{path}_b64", "base64", repr(text[:40]), "wrong-value")
    if len(data) != shape[0] * shape[1] * 4:
        fields.refuse(f"{path}_b64", f"{shape[0] * shape[1] * 4} bytes", str(len(data)), "wrong-value")
    return np.frombuffer(data, dtype=expected).reshape(shape)
