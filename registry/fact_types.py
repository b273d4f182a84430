"""What the types of statements say about facts: which are lists, structs and facts, what each takes in words, a template.

A type is an annotation as `msgspec.structs.fields` gives it, such as `Declared[Listed[Ref]]`.
"""

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal as Exact
from enum import Enum
from functools import cache
from inspect import getdoc
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta, UnsetType, inspect
from msgspec.structs import FieldInfo
from msgspec.structs import fields as _fields

from inbond.schemas import scalars
from inbond.schemas.declared import Declared, Reason
from inbond.schemas.kinds import KINDS


@cache
def fields(struct_type: Any) -> tuple[FieldInfo, ...]:
    """The fields of a type of struct; msgspec evaluates every annotation anew each time."""
    return _fields(struct_type)


def template(struct_type: type[msgspec.Struct], fixed_names: Collection[str], only: Collection[str] | None = None) -> str:
    """A TOML file for `load_facts` that lists what can be declared of `struct_type`, all of it commented out.

    `fixed_names` are the Python names of the fields that the program fills; with `only`, dotted paths as in
    `facts.undeclared`, the others are left out: they are on record. Lines that begin with `#` and no space are examples:
    each is right as it stands once the `#` is gone. Other comments explain.
    """
    left_out = "recorded as not known (not_declared)" if only is None else "left as it is on record"
    lines = [
        f"# Facts about a {struct_type.__name__.lower()}. {_summary(struct_type)}",
        "# Where you can state a fact, take away the # before it and put the truth in place of the example.",
        f"# What stays out is {left_out}.",
        '# Where there is no value, say why instead: name = { unknown = "lost" } or { na = "not_applicable_to_kind" }.',
        f"# Reasons: {', '.join(Reason)}.",
    ]
    for field in fields(struct_type):
        if field.name not in fixed_names and _is_asked(field.encode_name, only):
            lines += ["", *_template_lines(field.type, field.encode_name, _note(field.type, field.required, ""), only)]
    return "\n".join(lines) + "\n"


def words(kind: Any) -> str:
    """What `kind` takes, for people."""
    kind = fact_of(kind)
    if is_struct(kind):
        return f"a table of {', '.join(field.encode_name for field in fields(kind))}"
    if item := item_of(kind):
        least = next((meta.min_length or 0 for meta in get_args(kind)[1:] if isinstance(meta, Meta)), 0)
        return f"a list of {least} to {scalars.MAX_LIST}, each {words(item)}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(member.value for member in kind)}"
    return _scalar(kind)[0]


def found_in(value: Any) -> str:
    """What `value`, as TOML or a program has it, is in the words of a refusal."""
    if isinstance(value, Mapping):
        return f"a table of {', '.join(repr(str(name)[:40])[1:-1] for name in list(value)[:8])}" if value else "an empty table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Exact):
        return "a number of very many digits" if is_huge(value) else f"the number {value!s:.80}"
    return repr(value[:80]) if isinstance(value, str) else type(value).__name__


def is_struct(kind: Any) -> bool:
    """Whether `kind` is a struct."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def item_of(kind: Any) -> Any:
    """What a list of type `kind` holds, None for other types."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_args(bare)[0] if get_origin(bare) is tuple else None


def plain(kind: Any) -> Any:
    """`kind` without the UNSET of optional fields."""
    rest = [each for each in get_args(kind) if each is not UnsetType]
    return rest[0] if len(rest) == 1 and UnsetType in get_args(kind) else kind


def fact_of(kind: Any) -> Any:
    """What a fact or field holds once it is known."""
    kind = plain(kind)
    return get_args(kind)[0] if get_origin(kind) is Declared else kind


def all_facts(kind: Any) -> bool:
    """Whether `kind` is a struct that may be left out as a whole."""
    return is_struct(kind) and all(
        not field.required or get_origin(field.type) is Declared or all_facts(field.type) for field in fields(kind)
    )


def is_huge(value: Any) -> bool:
    """Whether Python may refuse to write out `value`."""
    return isinstance(value, int) and value.bit_length() > 256


def _is_asked(path: str, only: Collection[str] | None) -> bool:
    """Whether `only` names a path, or something within it or around it."""
    return only is None or any(
        path == each or each.startswith((f"{path}.", f"{path}[")) or path.startswith(f"{each}.") for each in only
    )


def _template_lines(kind: Any, path: str, note: str, only: Collection[str] | None) -> Iterator[str]:
    """The lines about one field: an example a line, for a struct one for each member."""
    kind, item = fact_of(kind), item_of(fact_of(kind))
    if is_struct(kind):
        yield f"# {path}: {_summary(kind)}{note}"
        for field in fields(kind):
            if _is_asked(inner := f"{path}.{field.encode_name}", only):
                yield from _template_lines(field.type, inner, _note(field.type, field.required, path), only)
        return
    yield f"#{path} = {_example(kind, path)}  # {words(kind)}{note}"
    if item and is_struct(item):
        yield f"#   each: {_summary(item)}"
        for field in fields(item):
            note = _note(field.type, field.required, "each")
            yield f"#   {field.encode_name}: {words(fact_of(field.type))}{note}"
    elif isinstance(kind, type) and issubclass(kind, Enum):
        yield f"#   {_summary(kind)}"


def _note(kind: Any, required: bool, within: str) -> str:
    if not required:
        return " (optional)"
    if get_origin(plain(kind)) is Declared or all_facts(plain(kind)):
        return ""
    return f" (required in {within})" if within else " (required)"


def _example(kind: Any, path: str) -> str:
    """A TOML value that `kind` takes."""
    kind = fact_of(kind)
    if is_struct(kind):
        return "{ " + ", ".join(f"{f.encode_name} = {_example(f.type, f.encode_name)}" for f in fields(kind) if f.required) + " }"
    if item := item_of(kind):
        return f"[{_example(item, path)}]"
    if kind == scalars.Ref:
        name = path.rpartition(".")[2]
        return f'"{name if name in KINDS else "kind"}:{"0" * 32}"'
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f'"{next(iter(kind)).value}"'
    return _scalar(kind)[1]


def _scalar(kind: Any) -> tuple[str, str]:
    """Words and a TOML example of a type that is no list, struct or enumeration."""
    listed = next((row[1:] for row in _SCALARS if row[0] == kind), None)
    if listed:
        return listed
    info = inspect.type_info(kind)
    if isinstance(info, inspect.IntType):
        return f"a whole number of at least {info.ge or 0}", str(info.ge or 0)
    return "text in quotes", '"text"'


def _summary(kind: Any) -> str:
    return (getdoc(kind) or "").partition("\n")[0]


_ZEROS = "0" * 64

_SCALARS: tuple[tuple[Any, str, str], ...] = (
    (bool, "true or false", "false"),
    (scalars.Ref, "a name or a reference <kind>:<32 hex digits>", ""),
    (scalars.Time, "a day (2026-01-31) or an instant (2026-01-31T12:00:00Z)", "2026-01-31"),
    (scalars.Moment, "an instant (2026-01-31T12:00:00.000Z)", "2026-01-31T12:00:00Z"),
    (scalars.Digest, "a digest sha256:<64 hex digits>", f'"sha256:{_ZEROS}"'),
    (scalars.Hex32, "64 hex digits", f'"{_ZEROS}"'),
    (scalars.HexId, "32 hex digits", f'"{_ZEROS[:32]}"'),
    (scalars.Count, "a whole number of at least 0", "1000"),
    (scalars.Decimal, "a number of at least 0", "0.7"),
    (scalars.Number, "an amount of at least 0", "1.5"),
    (scalars.Label, "one line of text in quotes (1 to 512 characters)", '"text"'),
    (scalars.Token, "a word of letters, digits, _ . and - (at most 64)", '"word"'),
    (scalars.Origin, "a registry's name without spaces and plus signs", '"registry.example/name"'),
    (scalars.Vkey, "a verifier key <name>+<8 hex digits>+<base64>", '"registry.example/name+00000000+AAAA"'),
    (scalars.Base64, "bytes in base64", f'"{"A" * 43}="'),
    (scalars.Url, "an absolute URL", '"https://example.com/"'),
    (scalars.MediaType, "a media type", '"application/pdf"'),
    (scalars.Language, "a BCP 47 language tag", '"en"'),
    (scalars.Territory, "an ISO 3166 code in capitals, or EU", '"DE"'),
    (scalars.Parameters, "a table of settings, each a number, text, true or false; it may be empty", "{}"),
    (scalars.Counts, "a table of whole numbers by name; it may be empty", "{}"),
)
"""The scalars of statements: what each takes, and an example as TOML."""
