"""One fact of many shards at once: what is known of it, what is missing and of which datasets, what is known to be lost."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from msgspec import UnsetType

from inbond.registry.disclosure.facts import Facts, Given
from inbond.registry.disclosure.sheet import Sheet
from inbond.registry.disclosure.wording import count, is_missing, short, why_not
from inbond.schemas.declared import Declared
from inbond.schemas.statements import Shard


@dataclass
class Collected:
    """A fact of shards: `known` values with their shards; shards where it is `missing`, or `absent` as it does not apply.

    `lost` lists those of which it is known that nobody knows it, by the reason.
    """

    known: list[tuple[Given, Any]] = field(default_factory=list)
    missing: list[Given] = field(default_factory=list)
    lost: dict[str, list[Given]] = field(default_factory=dict)
    absent: list[Given] = field(default_factory=list)

    @property
    def entries(self) -> list[int]:
        """The entries that declare it."""
        return [shard.thing.entry for shard, _ in self.known]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left open: it is known, or does not apply, everywhere."""
        return not (self.missing or self.lost)


def collect(shards: Iterable[Given], fact: Callable[[Shard], Declared[Any]]) -> Collected:
    """`fact` of each of `shards`."""
    found = Collected()
    for shard in shards:
        stated = fact(shard.body)
        if not isinstance(stated.known, UnsetType):
            found.known.append((shard, stated.known))
        elif is_missing(stated):
            found.missing.append(shard)
        elif isinstance(stated.na, UnsetType):
            found.lost.setdefault(why_not(stated), []).append(shard)
        else:
            found.absent.append(shard)
    return found


def ask_for(
    sheet: Sheet, facts: Facts, field: str, fact: str, shards: Iterable[Given], text: str, *, required: bool = True
) -> None:
    """Put a fact of shards on the list of what is missing: once for each dataset that they are in."""
    groups: dict[str, list[Given]] = {}
    for shard in shards:
        groups.setdefault(shard.datasets[0] if shard.datasets else shard.thing.ref, []).append(shard)
    for ref, mine in groups.items():
        name = facts.ledger.name(ref)
        about = f"{count(len(mine), 'shard')} of {name}" if ref.startswith("dataset:") else name
        held = sum(shard.datasets[:1] == (ref,) for shard in facts.shards.values())
        of = quote(name) if name != ref and held == len(mine) else short(mine[0].thing.ref if len(mine) == 1 else ref)
        sheet.missing(field, fact, about, text, f"inbond declare {of} --facts FILE", required=required)


def lost(found: Collected) -> str:
    """In words, of how many shards a fact is known to be lost, and why; empty where of none."""
    return "; ".join(f"not known of {count(len(shards), 'shard')}: {reason}" for reason, shards in sorted(found.lost.items()))
