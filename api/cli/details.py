"""One thing in detail, verified on the way; and lists, with names in them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inbond.schemas.errors import InvalidInput

if TYPE_CHECKING:
    from inbond.registry.registry import Registry

L = TypeVar("L")


@dataclass(frozen=True)
class Detail:
    """A thing on record: the body of its newest statement as JSON has it, and what people call the references in it.

    `entry` and `time` are those of the statement that made it.
    """

    ref: str
    name: str
    entry: int
    time: str
    asserted_by: str
    body: dict[str, Any]
    called: dict[str, str]

    def data(self) -> dict[str, Any]:
        """What --json says of it."""
        return {
            "ref": self.ref,
            "name": self.name,
            "entry": self.entry,
            "time": self.time,
            "asserted_by": self.asserted_by,
            "body": self.body,
        }


@dataclass(frozen=True)
class Part:
    """Rows [first, last) of a shard."""

    shard: str
    first: int
    last: int
    split: str


def shown(registry: "Registry", ref: str) -> Detail:
    """The thing that `ref` names, its newest statement's entry and signatures checked before it is shown."""
    import msgspec

    from inbond.ledger.entries import parse_entry
    from inbond.registry.mentions import references

    if ref == registry.operator:
        raise InvalidInput(f"{ref} is the operator, whom genesis names: expected a thing of a statement of its own")
    thing = registry.thing(ref)
    found = registry.place.statement(thing.newest)
    entry = registry.place.receipt(thing.entry).extra
    return Detail(
        ref=ref,
        name=thing.name or ref,
        entry=thing.entry,
        time=parse_entry(entry).time if entry else "",
        asserted_by=found.header.asserted_by.party,
        body=msgspec.to_builtins(found.body),
        called=registry.called(references((found.body, found.header))),
    )


def as_of_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option --as-of: what the first so many entries say."""
    return click.option("--as-of", type=click.IntRange(1), metavar="SIZE", help="As the first SIZE entries say.")(function)


def asked(**given: object) -> dict[str, str]:
    """What a list is asked for by: the options that were given."""
    return {name: str(value) for name, value in given.items() if value is not None}


def listed(registry: "Registry", what: type[L], **wanted: str) -> list[L]:
    """All items of one of the classes of `listing`, oldest first, with what people call the things that they refer to."""
    from inbond.registry.mentions import references

    items: list[Any] = list(registry.every(what, **wanted))
    about = [name for name in getattr(what, "__slots__", ()) if name not in ("ref", "owner")]
    called = registry.called(references([[getattr(item, name) for name in about] for item in items]))

    def named(value: Any) -> Any:
        return tuple(map(named, value)) if isinstance(value, tuple) else called.get(value, value)

    return [replace(item, **{name: named(getattr(item, name)) for name in about}) for item in items]
