r"""Dataset versions made from others: rows chosen by what they say or by lot, of the same shards, whose provenance they keep.

No bytes are written anew: the parts of the new version are row ranges of the source's shards, and log-probabilities follow
their text. What was done is an object that the dataset statement names as evidence: canonical JSON of `source`, `engine` (what
evaluated the condition) and the steps, in the order in which they are taken: `where`, `dedup`, `sample`, `split`.

Lots are drawn from the record id and the seed alone, so that a record has the same fate in every version, in whatever shard it
lies: its lot is the first 8 bytes (big-endian) of SHA-256("inbond-sample-v1\n" ‖ seed ‖ "\n" ‖ record id), for splits with
"inbond-split-v1\n", as a share of 2^64. A fraction keeps lots below it, a number of rows the lowest lots.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import NDArray

from inbond.registry.derivations import MEDIA, Derivation, Sample, Share, Split
from inbond.registry.opened import OpenRegistry
from inbond.registry.reading import open_shard
from inbond.registry.shards import arrow
from inbond.registry.shards.conditions import Condition
from inbond.registry.shards.picking import picked, ranges_of
from inbond.registry.versions import Version, put_version, standing_parts, versions_of
from inbond.schemas import canonical
from inbond.schemas.declared import Declared
from inbond.schemas.errors import Conflict, InvalidInput
from inbond.schemas.scalars import decimal
from inbond.schemas.statements import Evidence, PartLine

_LOTS = 1 << 64
_RANGES = 16_384  # of one part line: a line of a list stays far below what verifiers read
_SPLIT_NAME = re.compile("[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_SAMPLE, _SPLIT = b"inbond-sample-v1\n", b"inbond-split-v1\n"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Derived:
    """The version that was made, or was there already, and how many rows were looked at, kept, and kept in each split."""

    version: Version
    seen: int
    rows: int
    splits: dict[str, int]


def derive(
    registry: OpenRegistry,
    source: str,
    name: str,
    *,
    where: str | None = None,
    dedup: bool = False,
    sample: int | str | Fraction | None = None,
    split: Mapping[str, str | Fraction] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Derived:
    """Put a version called `name` on record that has some rows of `source`; the same again changes nothing.

    `where` is a condition in SQL over the columns of the text: rows for which it is true stay. `dedup` keeps the first row of
    each record id. `sample` is a number of rows, or a fraction ("0.1"), drawn with `seed`. `split` names splits with their
    fractions, which sum to 1; without it rows keep their split. Rows that are withdrawn now are left out.

    A `name` that is taken by other parts is a Conflict, unless it names a new version (`chat@2`). Raises InvalidInput for steps
    that cannot be taken and where nothing is left, VerificationError for altered bytes.
    """
    folder = registry.local  # of a server bytes leave against a grant or a delivery only
    ref = registry.resolve(source, "dataset")
    condition = None if where is None else Condition(where)
    steps = Derivation(
        source=ref,
        where=where,
        engine=None if condition is None else condition.engine,
        dedup=dedup,
        sample=None if sample is None else _sample(sample, seed),
        split=None if split is None else Split(shares=_shares(split), seed=seed),
    )
    if where is None and not dedup and sample is None and split is None:
        raise InvalidInput("expected something to do: a condition, dedup, a sample or splits, found nothing")
    work = _Work(registry, steps, condition, progress)
    lines = work.lines(standing_parts(registry, ref))
    if not lines:
        raise InvalidInput(f"{source}: expected rows that meet the condition, found none among {work.seen:,}")
    splits: dict[str, int] = {}
    for line in lines:
        splits[line.split] = splits.get(line.split, 0) + line.count
    body = folder.statement(ref).body
    version = _record(registry, name, lines, steps, body.purpose, body.licence)
    return Derived(version, work.seen, sum(splits.values()), splits)


def _record(
    registry: OpenRegistry,
    name: str,
    lines: Sequence[PartLine],
    steps: Derivation,
    purpose: Declared[Any],
    licence: Declared[Any],
) -> Version:
    """The version with these parts, which may be there already."""
    label, _, wanted = name.partition("@")
    parts = registry.place.objects.put_lines(lines)
    every = versions_of(registry, label)
    for item in every:
        if wanted in ("", item.version) and registry.place.statement(item.ref).body.parts == parts:
            return Version(item.ref, item.name, is_new=False)
    if every and not wanted:
        raise Conflict(
            f"dataset {every[-1].name} is on record with other rows: expected the name of a new dataset or version",
            hint=f"{label}@{len(every) + 1} makes a new version of it",
        )
    config = registry.place.objects.put_bytes(canonical.encode(steps))
    evidence = Evidence(media=MEDIA, digest=f"sha256:{config}", stored=True)
    return put_version(registry, label, wanted, lines, evidence=[evidence], purpose=purpose, licence=licence)


def _sample(wanted: int | str | Fraction, seed: int) -> Sample:
    """A number of rows, or a fraction of them: what has a decimal point or a per cent sign."""
    if isinstance(wanted, str) and wanted.isascii() and wanted.isdigit():
        wanted = int(wanted)
    if isinstance(wanted, int):
        if wanted < 1:
            raise InvalidInput(f"sample: expected at least one row, found {wanted}")
        return Sample(rows=wanted, seed=seed)
    return Sample(fraction=_written(_fraction(wanted, "sample")), seed=seed)


def _shares(split: Mapping[str, str | Fraction]) -> tuple[Share, ...]:
    if wrong := [name for name in split if _SPLIT_NAME.fullmatch(name) is None]:
        raise InvalidInput(f"split: expected names of letters, digits and _.- that begin with a letter, found {wrong[0]!r}")
    found = {name: _fraction(text, f"split {name}") for name, text in split.items()}
    if sum(found.values()) != 1:
        raise InvalidInput(f"split: expected fractions that sum to 1, found {float(sum(found.values())):g}")
    return tuple(Share(split=name, fraction=_written(fraction)) for name, fraction in found.items())


def _fraction(text: str | Fraction, what: str) -> Fraction:
    try:
        found = Fraction(text[:-1]) / 100 if isinstance(text, str) and text.endswith("%") else Fraction(text)
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if not 0 < found <= 1:
        hint = "give --split once for each split" if what.startswith("split") else None
        raise InvalidInput(f"{what}: expected a fraction above 0 and up to 1, such as 0.1 or 10%, found {text!r}", hint=hint)
    return found


def _written(fraction: Fraction) -> str:
    """The fraction as it stands on record; at most 18 decimals."""
    scaled = fraction * 10**18
    if scaled.denominator != 1:
        raise InvalidInput(f"expected a fraction that is a decimal number, such as 0.1, found {fraction}")
    return decimal(f"{scaled.numerator}e-18")


@dataclass
class _Kept:
    """Rows of a part that are left: their numbers, and of each what the steps that come at the end ask for."""

    numbers: NDArray[np.int64]
    keys: NDArray[np.uint64]  # [n, 2], half of the record id: for dedup
    lots: NDArray[np.uint64]  # [n], for a number of rows
    splits: NDArray[np.uint8]  # [n], which of the splits

    def only(self, mask: NDArray[np.bool_]) -> "_Kept":
        """The rows of the mask; what was not asked for is empty, and stays so."""
        keys, lots = (each[mask] if len(each) else each for each in (self.keys, self.lots))
        return _Kept(self.numbers[mask], keys, lots, self.splits[mask] if len(self.splits) else self.splits)


class _Work:
    """One derivation as it goes on: every part is read once, and no more of it than the steps ask for.

    Memory: the numbers of rows that are left, and beside each 16 bytes for dedup, 8 for a number of rows, 1 for splits.
    """

    def __init__(self, registry: OpenRegistry, steps: Derivation, condition: Condition | None, progress: Progress | None) -> None:
        self._registry, self._steps, self._condition, self._progress = registry, steps, condition, progress
        self._needs_ids = steps.dedup or steps.sample is not None or steps.split is not None
        self._ends: list[int] = []
        if steps.split is not None:
            ends = list(accumulate(Fraction(share.fraction) for share in steps.split.shares))
            self._ends = [int(share * _LOTS) for share in ends[:-1]]
        self.seen = 0

    def lines(self, parts: Sequence[PartLine]) -> list[PartLine]:
        """What is left of the parts, in their order."""
        self._total = sum(part.count for part in parts)
        kept = [_joined(list(self._read(part))) for part in parts]
        if self._steps.dedup:
            kept = _masked(kept, _first_of_each(np.concatenate([part.keys for part in kept])))
        if self._steps.sample is not None and self._steps.sample.rows is not None:
            kept = _masked(kept, _lowest(np.concatenate([part.lots for part in kept]), self._steps.sample.rows))
        return [line for part, rows in zip(parts, kept, strict=True) for line in self._lines(part, rows)]

    def _read(self, part: PartLine) -> Iterator[_Kept]:
        """The rows of a part that meet the condition, and whose lot is in the fraction of a sample."""
        condition, sample = self._condition, self._steps.sample
        names = dict.fromkeys([*(["record_id"] if self._needs_ids else ()), *(condition.columns if condition else ())])
        with open_shard(self._registry.place, part.shard) as reader:
            for numbers, table in picked(reader, list(names), part.rows):
                self.seen += len(numbers)
                if condition is not None:
                    mask = condition.holds(table)
                    numbers, table = numbers[mask], table.filter(pa.array(mask))
                ids = arrow.record_ids(table) if self._needs_ids else []
                kept = self._about(numbers, ids)
                if sample is not None and sample.fraction is not None and sample.fraction != "1":
                    kept = kept.only(_lots(_SAMPLE, sample.seed, ids) < np.uint64(int(Fraction(sample.fraction) * _LOTS)))
                yield kept
                if self._progress:
                    self._progress("reading", self.seen, self._total)

    def _about(self, numbers: NDArray[np.int64], ids: Sequence[bytes]) -> _Kept:
        sample, split, found = self._steps.sample, self._steps.split, _nothing()
        found.numbers = numbers
        if self._steps.dedup:
            found.keys = np.frombuffer(b"".join(ids), ">u8").reshape(-1, 4)[:, :2].astype(np.uint64)
        if sample is not None and sample.rows is not None:
            found.lots = _lots(_SAMPLE, sample.seed, ids)
        if split is not None:
            ends = np.array(self._ends, np.uint64)
            found.splits = np.searchsorted(ends, _lots(_SPLIT, split.seed, ids), "right").astype(np.uint8)
        return found

    def _lines(self, part: PartLine, kept: _Kept) -> Iterator[PartLine]:
        if self._steps.split is None:
            yield from _part_lines(part, part.split, kept.numbers)
            return
        for code, share in enumerate(self._steps.split.shares):
            yield from _part_lines(part, share.split, kept.numbers[kept.splits == code])


def _part_lines(part: PartLine, split: str, numbers: NDArray[np.int64]) -> Iterator[PartLine]:
    """Rows of a part, as parts of the new version; log-probabilities go along."""
    ranges = ranges_of(numbers)
    for at in range(0, len(ranges), _RANGES):
        rows = tuple(ranges[at : at + _RANGES])
        yield replace(part, rows=rows, split=split, count=sum(last - first for first, last in rows))


def _lots(domain: bytes, seed: int, ids: Sequence[bytes]) -> NDArray[np.uint64]:
    """The lot of each record id."""
    start = sha256(domain + b"%d\n" % seed)
    found = []
    for each in ids:
        drawn = start.copy()
        drawn.update(each)
        found.append(drawn.digest()[:8])
    return np.frombuffer(b"".join(found), ">u8").astype(np.uint64)


def _nothing() -> _Kept:
    return _Kept(np.zeros(0, np.int64), np.zeros((0, 2), np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint8))


def _joined(pieces: Sequence[_Kept]) -> _Kept:
    pieces = [_nothing(), *pieces]
    return _Kept(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("numbers", "keys", "lots", "splits")))


def _masked(kept: Sequence[_Kept], mask: NDArray[np.bool_]) -> list[_Kept]:
    """The rows of a mask over all parts."""
    ends = np.cumsum([len(part.numbers) for part in kept])
    return [part.only(mask[end - len(part.numbers) : end]) for part, end in zip(kept, ends, strict=True)]


def _first_of_each(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys come for the first time. They are 128 bits of a hash, so equal ones are of equal record ids."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    again = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    first = np.ones(len(keys), np.bool_)
    first[order[1:][again]] = False
    return first


def _lowest(lots: NDArray[np.uint64], count: int) -> NDArray[np.bool_]:
    """Which lots are the lowest `count`; of equal ones the first."""
    chosen = np.zeros(len(lots), np.bool_)
    chosen[np.argsort(lots, kind="stable")[:count]] = True
    return chosen
