"""How DistillKit compressed the distributions of a position (its `DistributionQuantizationConfig`), and the way back."""

import os
from pathlib import Path
from typing import Any, Literal, NoReturn

import msgspec
import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from inbond.registry.importers.fields import Fault
from inbond.schemas.errors import InvalidInput, NotFound

_MAX_FILE = 1 << 20
_WIDTHS = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
Dtype = Literal["float16", "bfloat16", "float32", "float64"]


class Bin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Residuals of successive ranks: a scale, and integers of `element_bits` bits."""

    scale_dtype: Dtype
    element_bits: int
    num_elements: int

    @property
    def bytes(self) -> int:
        """How many bytes its integers take."""
        return (self.num_elements * self.element_bits + 7) // 8


class Compression(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings under the names that DistillKit gives them."""

    d: int
    k: int
    exact_k: int
    residual_bins: list[Bin] = []
    exact_dtype: Dtype = "float32"
    polynomial_terms: list[int | str] | None = None
    term_dtype: Dtype = "float32"
    delta_encoding: bool = True
    error_diffusion: bool = False
    normalize_t: bool = False

    @property
    def bits(self) -> int:
        """Bits of a token id."""
        return max(1, (self.d - 1).bit_length())

    @property
    def index_bytes(self) -> int:
        """Bytes of the token ids of a position."""
        return (self.k * self.bits + 7) // 8

    @property
    def value_bytes(self) -> int:
        """Bytes of the log-probabilities of a position."""
        terms = len(self.polynomial_terms or ()) * _WIDTHS[self.term_dtype]
        return (
            self.exact_k * _WIDTHS[self.exact_dtype] + terms + sum(_WIDTHS[b.scale_dtype] + b.bytes for b in self.residual_bins)
        )

    def indices(self, packed: NDArray[np.uint8]) -> NDArray[np.int64]:
        """int64 [n, k] out of uint8 [n, index_bytes]."""
        return _unpack(packed, self.bits, self.k)

    def values(self, packed: NDArray[np.uint8], path: str) -> NDArray[np.float64]:
        """Log-probabilities, float64 [n, k], out of uint8 [n, value_bytes]. Raises Fault for NaN."""
        at = self.exact_k * _WIDTHS[self.exact_dtype]
        exact = _floats(packed[:, :at], self.exact_dtype)
        rest = np.zeros((len(packed), self.k - self.exact_k))
        if self.polynomial_terms:
            end = at + len(self.polynomial_terms) * _WIDTHS[self.term_dtype]
            rest += _floats(packed[:, at:end], self.term_dtype) @ self._curve().T
            at = end
        first = 0
        for each in self.residual_bins:
            width = _WIDTHS[each.scale_dtype]
            scale = _floats(packed[:, at : at + width], each.scale_dtype)
            at += width
            numbers = _unpack(packed[:, at : at + each.bytes], each.element_bits, each.num_elements)
            at += each.bytes
            steps = numbers * 2 - 1 if each.element_bits == 1 else numbers - (1 << (each.element_bits - 1))
            rest[:, first : first + each.num_elements] += steps * scale
            first += each.num_elements
        found = np.concatenate([exact, rest], axis=1)
        if self.delta_encoding:
            found = np.cumsum(found, axis=1)
        if np.isnan(found).any():
            raise Fault("wrong-value", path, "log-probabilities", "NaN")
        return np.asarray(found, dtype=np.float64)

    def _curve(self) -> NDArray[np.float64]:
        """float64 [k - exact_k, terms]: each term at each rank."""
        size = self.k - self.exact_k
        ranks = np.linspace(0, 1, size) if self.normalize_t else np.arange(size, dtype=np.float64)
        special = {"sqrt": np.sqrt, "exp": np.exp}
        return np.stack(
            [ranks**term if isinstance(term, int) else special[term](ranks) for term in self.polynomial_terms or ()], 1
        )


def read_compression(path: str | os.PathLike[str]) -> Compression:
    """The settings in a file, YAML as DistillKit writes it. Raises InvalidInput for others."""
    name = os.fspath(path)
    try:
        data = Path(name).read_bytes()[:_MAX_FILE]
    except FileNotFoundError:
        raise NotFound(f"expected a compression_config.yaml, found nothing at {name}") from None
    except OSError as error:
        raise InvalidInput(f"expected a file that can be read, found {name}: {error}") from None
    try:
        given: Any = yaml.safe_load(data)
        if isinstance(given, dict) and "d" not in given:
            given = next((value for value in given.values() if isinstance(value, dict) and "d" in value), given)
        found = msgspec.convert(given, Compression)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{name}: expected the settings of DistillKit's compression, found others ({error})") from None
    _check(found, name)
    return found


def _check(form: Compression, name: str) -> None:
    terms = form.polynomial_terms or []
    wrong = [term for term in terms if not (term in ("sqrt", "exp") if isinstance(term, str) else -8 <= term <= 64)]
    elements = sum(each.num_elements for each in form.residual_bins)
    if wrong:
        _refuse(name, "polynomial_terms", "numbers, sqrt or exp", wrong[0])
    if not 0 < form.d <= 2**32:
        _refuse(name, "d", "a vocabulary of 1 to 4294967296", form.d)
    if not 0 <= form.exact_k <= form.k <= min(form.d, 65_536) or form.k == 0:
        _refuse(name, "k", "at least 1 and exact_k, at most d and 65536", form.k)
    if any(not (0 < each.element_bits <= 32 and each.num_elements > 0) for each in form.residual_bins):
        _refuse(name, "residual_bins", "bins of 1 to 32 bits", "others")
    if elements > form.k - form.exact_k:
        _refuse(name, "residual_bins", f"at most {form.k - form.exact_k} elements", elements)


def _refuse(name: str, field: str, expected: str, found: object) -> NoReturn:
    raise InvalidInput(f"{name}, field {field}: expected {expected}, found {found}")


def _floats(data: NDArray[np.uint8], dtype: str) -> NDArray[np.float64]:
    """Little-endian floats, uint8 [n, m * width] to float64 [n, m]."""
    data = np.ascontiguousarray(data)
    if dtype == "bfloat16":  # the upper half of a float32
        return (data.view("<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    return data.view({"float16": "<f2", "float32": "<f4", "float64": "<f8"}[dtype]).astype(np.float64)


def _unpack(data: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int64]:
    """Unsigned integers of `bits` bits, most significant bit first: uint8 [n, ceil(count * bits / 8)] to int64 [n, count]."""
    each = np.unpackbits(np.ascontiguousarray(data), axis=1)[:, : count * bits].reshape(len(data), count, bits)
    return each @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int64))
