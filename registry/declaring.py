"""Facts declared later: a statement of the same kind, which repeats what is on record and fills in what was not known.

What is known already is corrected only where that is asked for, and then the answer says what was. The thing keeps its
name in other statements: they refer to the statement that made it (current.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin

import msgspec
from msgspec import UNSET, UnsetType

from inbond.registry.current import FIXED, party_of
from inbond.registry.deciding import keep_text
from inbond.registry.fact_types import fields, is_struct, item_of, plain, template
from inbond.registry.facts import fill
from inbond.registry.listing import ListedShard
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded, Thing
from inbond.registry.recorder import Said
from inbond.schemas.declared import Declared
from inbond.schemas.errors import Conflict
from inbond.schemas.kinds import KINDS
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Genesis, Visibility

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Change:
    """A fact that a declaration states anew, by its dotted path; `was` is None where it was not known."""

    path: str
    was: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Declaration:
    """What was declared about `ref`; `recorded` is None where all of it was on record. `missing` are facts not known still."""

    ref: str
    recorded: Recorded | None
    filled: tuple[Change, ...]
    corrected: tuple[Change, ...]
    missing: tuple[str, ...]


def declare(
    registry: OpenRegistry, ref: str, given: Mapping[str, Any], *, correct: bool = False, reason: str | None = None
) -> Declaration:
    """Put facts about a thing on record that were not known when it was made; `given` as from `facts.load_facts`.

    Raises Conflict, naming each, where a fact is known already and not the same, unless `correct` says that it was wrong.
    `reason` is kept as an erasable object. What others declare meanwhile stays.
    """
    first = registry.resolve(ref, *FIXED)
    for attempt in range(_ATTEMPTS):
        thing = registry.thing(first)
        drafted, said = _drafted(registry, thing, given, correct)
        if said is None:
            return drafted
        said.why = UNSET if reason is None else keep_text(registry, reason)
        try:
            return replace(drafted, recorded=registry.recorder.record(said))
        except Conflict:
            if attempt + 1 == _ATTEMPTS or registry.thing(first).newest == thing.newest:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def declare_shards(
    registry: OpenRegistry, dataset: str, given: Mapping[str, Any], *, correct: bool = False, reason: str | None = None
) -> list[Declaration]:
    """As `declare`, of every shard of a dataset version: all of them are looked at before the first goes on record."""
    every = [_drafted(registry, thing, given, correct) for thing in _shards_of(registry, dataset)]
    why: str | UnsetType = UNSET if reason is None else keep_text(registry, reason)
    said = [each for _, each in every if each is not None]
    for each in said:
        each.why = why
    recorded = iter(registry.recorder.record_all(said))
    return [drafted if each is None else replace(drafted, recorded=next(recorded)) for drafted, each in every]


def facts_template(registry: OpenRegistry, ref: str) -> str:
    """A TOML file of what is not known yet of a thing, or of any shard of a dataset version, for `declare`."""
    found = registry.resolve(ref, *FIXED, "dataset")
    things = _shards_of(registry, found) if found.startswith("dataset:") else [registry.thing(found)]
    bodies = [_body(registry, thing) for thing in things]
    missing = {path for body in bodies for path in unknown_in(body)}
    return template(type(bodies[0]), FIXED[things[0].kind], sorted(missing))


def _shards_of(registry: OpenRegistry, dataset: str) -> list[Thing]:
    refs = [item.ref for item in registry.every(ListedShard, dataset=registry.resolve(dataset, "dataset"))]
    return list(registry.place.things(refs).values())


def _drafted(registry: OpenRegistry, thing: Thing, given: Mapping[str, Any], correct: bool) -> tuple[Declaration, Said | None]:
    """What `given` says anew of a thing, and the statement that would say it, None where there is nothing new."""
    before = _body(registry, thing)
    after = _merged(registry, thing.kind, before, given)
    changes = list(_changes(before, after, ""))
    corrected = tuple(change for change in changes if change.was is not None)
    if corrected and not correct:
        known = "; ".join(f"{change.path} is {_text(change.was)}, not {_text(change.now)}" for change in corrected)
        raise Conflict(
            f"{thing.name or thing.ref}: expected facts that are not known yet, found {known}",
            hint="--correct, where that was wrong",
        )
    filled = tuple(change for change in changes if change.was is None)
    drafted = Declaration(thing.ref, None, filled, corrected, tuple(unknown_in(after)))
    if not changes:
        return drafted, None
    key = registry.owner_key(thing.ref, *(role for role in Role if role in KINDS[thing.kind].roles))
    return drafted, Said(thing.kind, after, [key], visibility=Visibility(thing.visibility), amends=thing.newest)


def unknown_in(value: Any, path: str = "") -> Iterator[str]:
    """The dotted paths of every fact in a body that is not known, whyever, and of what is optional and not there."""
    if isinstance(value, UnsetType) or (isinstance(value, Declared) and not isinstance(value.unknown, UnsetType)):
        yield path
    elif isinstance(value, Declared):
        yield from unknown_in(value.known, path) if value.is_known else ()
    elif isinstance(value, msgspec.Struct):
        for field in fields(type(value)):
            yield from unknown_in(getattr(value, field.name), f"{path}.{field.encode_name}" if path else field.encode_name)
    elif isinstance(value, tuple):
        for at, each in enumerate(value):
            yield from unknown_in(each, f"{path}[{at}]")


def _body(registry: OpenRegistry, thing: Thing) -> Any:
    body = registry.place.statement(thing.newest).body
    return party_of(body) if isinstance(body, Genesis) else body


# -- merging ---------------------------------------------------------------------------------------------------------------------


def _merged(registry: OpenRegistry, kind: str, before: Any, given: Mapping[str, Any]) -> Any:
    """The body `before` with the facts in `given`, checked as a whole."""
    fixed = {name: getattr(before, name) for name in FIXED[kind]}
    stated = {name: value for name, value in _plain(before).items() if name not in _encoded(type(before), fixed)}
    every = _over(type(before), stated, given)
    return fill(type(before), every, fixed=fixed, where=kind, resolve=lambda _, text: registry.resolve(text))


def _plain(body: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(body)
    return found


def _encoded(struct_type: Any, names: Mapping[str, Any]) -> set[str]:
    return {field.encode_name for field in fields(struct_type) if field.name in names}


def _over(kind: Any, before: Any, given: Any) -> Any:
    """`given` laid over `before`, both as TOML has them: tables member by member, lists of as many tables item by item."""
    kind = plain(kind)
    if get_origin(kind) is Declared:
        inner = get_args(kind)[0]
        if not isinstance(before, Mapping) or "known" not in before:
            return given
        if isinstance(given, Mapping) and set(given) == {"known"}:
            given = given["known"]
        elif isinstance(given, Mapping) and given.keys() & {"na", "unknown"}:
            return given
        return {"known": _over(inner, before["known"], given)}
    if is_struct(kind) and isinstance(before, Mapping) and isinstance(given, Mapping):
        types = {field.encode_name: field.type for field in fields(kind)}
        laid = {name: _over(types[name], before.get(name), value) if name in types else value for name, value in given.items()}
        return {**before, **laid}
    item = item_of(kind)
    lists = isinstance(before, list | tuple) and isinstance(given, list | tuple) and len(before) == len(given)
    if item and is_struct(item) and lists:
        return [_over(item, old, new) for old, new in zip(before, given, strict=True)]
    return given


def _changes(before: Any, after: Any, path: str) -> Iterator[Change]:
    """What `after` says anew."""
    if before == after:
        return
    if isinstance(before, Declared) and before.is_known and isinstance(after, Declared) and after.is_known:
        yield from _changes(before.known, after.known, path)
    elif isinstance(before, msgspec.Struct) and type(before) is type(after) and not isinstance(before, Declared):
        for field in fields(type(before)):
            inner = f"{path}.{field.encode_name}" if path else field.encode_name
            yield from _changes(getattr(before, field.name), getattr(after, field.name), inner)
    elif _are_alike(before, after):
        for at, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changes(old, new, f"{path}[{at}]")
    else:
        was = None if before is UNSET or (isinstance(before, Declared) and before.unknown is not UNSET) else _shown(before)
        yield Change(path, was, _shown(after))


def _are_alike(before: Any, after: Any) -> bool:
    """Whether both are lists of as many structs."""
    both = isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after)
    return both and all(isinstance(each, msgspec.Struct) for each in (*before, *after))


def _shown(value: Any) -> Any:
    """A fact as JSON has it, without the words around what is known."""
    if isinstance(value, Declared) and value.is_known:
        value = value.known
    return msgspec.to_builtins(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()[:200]
