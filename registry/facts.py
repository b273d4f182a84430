"""Declared facts: from a TOML file into the bodies of statements, guided by the types of their structs alone.

A fact is given as its plain value, or says why there is none: `{ unknown = "lost" }`, `{ na = "not_applicable_to_kind" }`.
What a file leaves out is recorded as not known (not_declared). Numbers with a point become minimal decimal strings, so
that no float ever reaches a statement; references may be typed as names, which the caller resolves.
"""

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal as Exact
from decimal import InvalidOperation
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import msgspec

from inbond.registry.fact_types import all_facts, fields, found_in, is_huge, is_struct, item_of, plain, template, words
from inbond.schemas import canonical, scalars
from inbond.schemas.declared import Declared, Reason, known, unknown
from inbond.schemas.errors import InvalidInput, NotFound, StoreError
from inbond.schemas.statement import split_ref

__all__ = ["Resolve", "fill", "load_facts", "load_toml", "template", "undeclared"]

S = TypeVar("S", bound=msgspec.Struct)

Resolve = Callable[[str, str], str]
"""Turns text that is no reference into one: (path of the field such as `prompts[0].source`, text) → reference."""


def load_facts(path: str | Path) -> dict[str, Any]:
    """The facts in a TOML file, for `fill`.

    Days and date-times come out as the Time strings of statements (UTC, milliseconds), numbers with a point as exact
    decimals. Raises NotFound for a missing file, StoreError for one that cannot be read, and InvalidInput, naming the
    file and the line or key, for text that is not TOML and for a date-time that lacks its offset from UTC or is finer
    than a millisecond.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"expected a TOML file of facts, found nothing at {path}") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path}: expected UTF-8 text, found byte {error.object[error.start]:#x} at byte {error.start}"
        ) from None
    return load_toml(text, str(path))


def load_toml(text: str, name: str) -> dict[str, Any]:
    """As `load_facts`, of the text of a file called `name`."""
    try:
        facts = tomllib.loads(text, parse_float=Exact)
        return {key: _dated(value, key, name) for key, value in facts.items()}
    except RecursionError:
        raise InvalidInput(f"{name}: expected facts in TOML, found nesting too deep to read") from None
    except (ValueError, InvalidOperation) as error:
        reason = str(error) if isinstance(error, ValueError) else "a number that is out of range"
        raise InvalidInput(f"{name}: expected facts in TOML, found: {reason}") from None


def fill(
    struct_type: type[S], given: Mapping[str, Any], *, fixed: Mapping[str, Any], where: str, resolve: Resolve | None = None
) -> S:
    """A body of type `struct_type` from what the program knows and what somebody declared.

    `fixed` holds finished values by Python field name, UNSET for an optional field that nobody may give; `given` (as
    from `load_facts`, by JSON name) holds the others. Absent facts become unknown (not_declared), at every depth; a
    struct of nothing but facts may be absent as a whole. Text in place of a reference goes to `resolve`.
    Raises InvalidInput, naming `where` and the dotted path with what was expected and what was found, for a value that
    does not fit, one that is required and missing, and a name that does not exist; and whatever `resolve` raises.
    """
    return _Filler(where, resolve).body(struct_type, given, fixed)


def undeclared(body: msgspec.Struct) -> list[str]:
    """The dotted paths (JSON names, in order) of every fact in `body` that nobody has declared."""
    return list(_undeclared(body, ""))


@dataclass(frozen=True)
class _Filler:
    where: str
    resolve: Resolve | None

    def body(self, struct_type: type[S], given: Mapping[str, Any], fixed: Mapping[str, Any]) -> S:
        body = self.struct(struct_type, given, "", fixed)
        # Read back as a statement would be: what was constructed is thereby checked as a whole, `fixed` included.
        try:
            return canonical.decode(canonical.encode(body), struct_type, what="the body")
        except InvalidInput as error:
            raise InvalidInput(f"{self.where}: {error.message}") from None

    def struct(self, struct_type: Any, given: Any, path: str, fixed: Mapping[str, Any]) -> Any:
        if not isinstance(given, Mapping):
            self.fail(path, words(struct_type), found_in(given))
        open_fields = {field.encode_name: field for field in fields(struct_type) if field.name not in fixed}
        taken = {field.encode_name for field in fields(struct_type)} - set(open_fields)
        for name, value in given.items():
            if name in taken:
                self.fail(f"{path}.{name}" if path else name, "nothing, because inbond fills it itself", found_in(value))
            if name not in open_fields:
                self.refuse_name(path, name, open_fields)
        values = dict(fixed)
        for name, field in open_fields.items():
            inner = f"{path}.{name}" if path else name
            if name in given:
                values[field.name] = self.lift(plain(field.type), given[name], inner)
            elif field.required:
                values[field.name] = self.absent(plain(field.type), inner)
        try:
            return struct_type(**values)
        except ValueError as error:
            raise InvalidInput(f"{self.at(path)}: {error}", field=path) from None

    def lift(self, kind: Any, value: Any, path: str) -> Any:
        """`value` as TOML has it → a value of type `kind` (an annotation)."""
        if get_origin(kind) is Declared:
            return self.declared(get_args(kind)[0], value, path)
        if is_struct(kind):
            return self.struct(kind, value, path, {})
        if item := item_of(kind):
            if not isinstance(value, list | tuple):
                self.fail(path, words(kind), found_in(value))
            items = tuple(self.lift(item, each, f"{path}[{at}]") for at, each in enumerate(value))
            return self.convert(kind, items, path, found_in(value))
        if kind == scalars.Decimal or kind == scalars.Number:
            value = self.amount(kind, value, path)
        elif kind == scalars.Ref and self.resolve and isinstance(value, str) and not _is_reference(value):
            value = self.resolve(path, value)
        elif kind == scalars.Parameters and isinstance(value, Mapping):
            value = {name: self.setting(each, f"{path}.{name}") for name, each in value.items()}
        return self.convert(kind, value, path, found_in(value))

    def declared(self, kind: Any, value: Any, path: str) -> Any:
        members = {"known", "na", "unknown"}
        if is_struct(kind):
            members -= {field.encode_name for field in fields(kind)}
        if not isinstance(value, Mapping) or not members & set(value):
            return known(self.lift(kind, value, path))
        if len(value) != 1:
            self.fail(path, "exactly one of known, na, unknown", found_in(value))
        ((name, stated),) = value.items()
        if name == "known":
            return known(self.lift(kind, stated, path))
        return Declared(**{name: self.convert(Reason, stated, f"{path}.{name}", found_in(stated))})

    def absent(self, kind: Any, path: str) -> Any:
        if get_origin(kind) is Declared:
            return unknown()
        if all_facts(kind):
            return self.struct(kind, {}, path, {})
        self.fail(path, words(kind), "nothing")

    def amount(self, kind: Any, value: Any, path: str) -> Any:
        exact = Exact(repr(value)) if isinstance(value, float) else value
        if isinstance(exact, int | str | Exact) and not isinstance(exact, bool) and not is_huge(exact):
            try:
                return (scalars.decimal if kind == scalars.Decimal else scalars.number)(exact)
            except InvalidInput:
                pass
        self.fail(path, words(kind), found_in(value))

    def setting(self, value: Any, path: str) -> Any:
        if not isinstance(value, float | Exact):
            return value
        text = str(value)
        amount = str(self.amount(scalars.Decimal, text.removeprefix("-"), path))
        return f"-{amount}" if text[0] == "-" and amount != "0" else amount

    def convert(self, kind: Any, value: Any, path: str, found: str) -> Any:
        try:
            return msgspec.convert(value, kind)
        except (ValueError, RecursionError):
            self.fail(path, words(kind), found)

    def refuse_name(self, path: str, name: Any, names: Collection[str]) -> NoReturn:
        close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
        expected = f"{close[0]} (the closest name)" if close else f"one of {', '.join(names)}" if names else "no name here"
        self.fail(path, expected, f"the name {found_in(name)}")

    def fail(self, path: str, expected: str, found: str) -> NoReturn:
        message = f"{self.at(path)}: expected {expected}, found {found}"
        raise InvalidInput(message, field=path, expected=expected, found=found) from None

    def at(self, path: str) -> str:
        return f"{self.where}: {path}" if path else self.where


def _dated(value: Any, path: str, file: str) -> Any:
    """`value` with the Time strings of statements in place of TOML's days and date-times."""
    if isinstance(value, dict):
        return {name: _dated(each, f"{path}.{name}", file) for name, each in value.items()}
    if isinstance(value, list):
        return [_dated(each, f"{path}[{at}]", file) for at, each in enumerate(value)]
    if isinstance(value, datetime):
        if value.tzinfo is None:
            problem = "a date-time with its offset from UTC, such as 2026-01-31T12:00:00Z"
        elif value.microsecond % 1000:
            problem = "a date-time of at most milliseconds"
        else:
            try:
                return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
            except OverflowError:
                problem = "a date-time in the years 1 to 9999 in UTC"
    elif isinstance(value, time):
        problem = "a day or a date-time"
    else:
        return value.isoformat() if isinstance(value, date) else value
    raise InvalidInput(f"{file}: {path}: expected {problem}, found {value.isoformat()}", field=path)


def _undeclared(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Declared):
        if value.unknown is Reason.NOT_DECLARED:
            yield path
        else:
            yield from _undeclared(value.known, path)
    elif isinstance(value, msgspec.Struct):
        for field in fields(type(value)):
            yield from _undeclared(getattr(value, field.name), f"{path}.{field.encode_name}" if path else field.encode_name)
    elif isinstance(value, tuple):
        for at, each in enumerate(value):
            yield from _undeclared(each, f"{path}[{at}]")


def _is_reference(text: str) -> bool:
    try:
        return bool(split_ref(text))
    except InvalidInput:
        return False
