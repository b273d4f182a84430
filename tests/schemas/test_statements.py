"""Every kind, field by field: what must be there, what may be missing, and that nothing else is let in."""

import base64
import copy
import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from inbond.schemas import canonical, statement
from inbond.schemas.declared import Declared
from inbond.schemas.errors import InvalidInput
from inbond.schemas.kinds import KINDS
from inbond.schemas.statements import lines
from tests.schemas import examples
from tests.schemas.examples import BODIES, VARIANTS

Path = tuple[str | int, ...]


def structs(value: Any, path: Path = ("predicate",)) -> Iterator[tuple[Path, msgspec.Struct]]:
    """Every struct within `value`, with where it lies in the statement's JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from structs(item, (*path, key))
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from structs(item, (*path, place))
    elif isinstance(value, msgspec.Struct):
        yield path, value
        for field in msgspec.structs.fields(value):
            yield from structs(getattr(value, field.name), (*path, field.encode_name))


def tree_of(key: str) -> Any:
    return msgspec.json.decode(examples.payload(key))


def structs_of(key: str) -> list[tuple[Path, msgspec.Struct]]:
    return list(structs({"body": BODIES[key], "header": examples.header(key)}))


def at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def changed(tree: Any, path: Path, value: Any) -> Any:
    tree = copy.deepcopy(tree)
    at(tree, path[:-1])[path[-1]] = value
    return tree


def read(tree: Any) -> statement.Statement:
    """Read a changed statement, with the subject that it would have if it were right."""
    name = tree["subject"][0]["name"]
    if KINDS[name].subject is None:
        subject = hashlib.sha256(canonical.encode(tree["predicate"])).hexdigest()
        tree = changed(tree, ("subject", 0, "digest", "sha256"), subject)
    return statement.read(msgspec.json.encode(tree, order="sorted"))


def refused(tree: Any, *named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(tree)
    for word in named:
        assert word in caught.value.message


each_body = pytest.mark.parametrize("key", BODIES)


@pytest.mark.parametrize("key", VARIANTS)
def test_what_is_made_is_read(key):
    plain, body = key.partition("/")[0], VARIANTS[key]
    payload = examples.payload(plain, body)
    found = statement.read(payload)
    assert (found.body, found.header, found.kind) == (body, examples.header(plain), plain.partition(".")[0])
    assert statement.make(found.kind, found.body, found.header) == payload
    assert found.ref == f"{found.kind}:{found.header.id}"


def test_the_examples_use_every_field_and_know_every_fact():
    for key in BODIES:
        for path, value in structs_of(key):
            if isinstance(value, Declared):
                assert value.is_known, path
                continue
            given = {field.name for field in msgspec.structs.fields(value) if getattr(value, field.name) is not msgspec.UNSET}
            missing = set(value.__struct_fields__) - given
            assert missing <= ({"vkey"} if key == "key" else set()), path


@each_body
def test_each_field_is_needed_unless_it_is_optional(key):
    tree = tree_of(key)
    for path, value in structs_of(key):
        if isinstance(value, Declared):
            continue
        for field in msgspec.structs.fields(value):
            name = field.encode_name
            if name not in at(tree, path):
                continue
            without = copy.deepcopy(tree)
            del at(without, path)[name]
            if field.required or (key, name) in _NEEDED:
                refused(without, name)
            else:
                assert read(without).kind == key.partition(".")[0]


_NEEDED = {("key", "public_key"), ("terms_fact", "modality"), *(("shard", name) for name in ("codec", "text_shard", "signal"))}


@each_body
def test_a_field_too_many_is_refused_at_every_level(key):
    tree = tree_of(key)
    for path, _ in [((), None), (("predicate",), None), (("subject", 0), None), *structs_of(key)]:
        refused(changed(tree, (*path, "surplus"), 1), "surplus")


@each_body
def test_null_is_refused_for_every_field_but_seen(key):
    tree = tree_of(key)
    for path, value in structs_of(key):
        for field in msgspec.structs.fields(value):
            where = (*path, field.encode_name)
            if where == ("predicate", "header", "seen"):
                assert read(changed(tree, where, None)).header.seen is None
            else:
                refused(changed(tree, where, None), "null")


@each_body
def test_every_fact_is_exactly_one_of_three(key):
    tree = tree_of(key)
    facts = [path for path, value in structs_of(key) if isinstance(value, Declared)]
    assert facts
    for path in facts:
        refused(changed(tree, path, {}), "exactly one of known, na, unknown")
        refused(changed(tree, (*path, "unknown"), "lost"), "exactly one of known, na, unknown")
        refused(changed(tree, path, {"unknown": "nobody asked"}), "nobody asked")
        refused(changed(tree, path, at(tree, path)["known"]))
        for other in ({"unknown": "withheld"}, {"na": "not_applicable_to_kind"}):
            assert read(changed(tree, path, other))


@each_body
def test_floats_are_refused_wherever_there_is_a_number(key):
    tree = tree_of(key)
    for path, value in leaves(tree):
        if isinstance(value, int) and not isinstance(value, bool):
            refused(changed(tree, path, value + 0.5))
            refused(changed(tree, path, float(value)))
            refused(changed(tree, path, str(value)))
        elif isinstance(value, bool):
            refused(changed(tree, path, int(value)))


@each_body
def test_lists_end_at_64(key):
    tree = tree_of(key)
    lists = [path for path, value in leaves(tree, lists=True) if isinstance(value, list)]
    assert ("predicate", "header", "evidence") in lists
    for path in lists:
        refused(changed(tree, path, at(tree, path)[:1] * 65), *(["length <="] if path[0] == "predicate" else []))


def test_lists_may_be_64_long():
    tree = tree_of("student")
    where = ("predicate", "body", "initialised_from")
    assert len(read(changed(tree, where, at(tree, where) * 64)).body.initialised_from) == 64


def leaves(tree: Any, path: Path = (), lists: bool = False) -> Iterator[tuple[Path, Any]]:
    """Every scalar (or list) of a JSON value that a test may change; parameters may hold anything but floats."""
    if isinstance(tree, dict):
        for key, item in tree.items():
            if key not in ("parameters", "other") or "known" in item:
                yield from leaves(item, (*path, key), lists)
    elif isinstance(tree, list):
        if lists:
            yield path, tree
        for place, item in enumerate(tree):
            yield from leaves(item, (*path, place), lists)
    elif not lists:
        yield path, tree


@pytest.mark.parametrize(
    ("key", "path", "value", "message"),
    [
        ("genesis", ("threshold",), 3, "threshold of at most 2"),
        ("genesis", ("threshold",), 0, ">= 1"),
        ("genesis", ("admins",), ["AAAA", "AAAA"], "one twice"),
        ("genesis", ("admins",), [], ">= 1"),
        ("key", ("vkey",), "a+0badcafe+AAAA", "exactly one of public_key, vkey, found both"),
        ("key", ("roles",), ["run"], "run"),
        ("terms_fact", ("scope",), "any_model", "modality"),
        ("shard", ("models", 0, "role"), "judge", "exactly one of models with role response or logits, found 0"),
        ("shard", ("models", 1, "role"), "logits", "found 2"),
        ("shard", ("models",), [], ">= 1"),
        ("consume", ("first",), 2_501, "expected last of at least first (2501), found 2500"),
        ("run.open", ("phase",), "pause", "pause"),
        ("decision.rule", ("phase",), "ask", "ask"),
        ("report", ("profile",), "secret", "secret"),
    ],
)
def test_fields_that_disagree_are_refused(key, path, value, message):
    refused(changed(tree_of(key), ("predicate", "body", *path), value), message)


def test_a_request_lies_in_the_grant_as_the_run_key_signed_it():
    grant = statement.read(examples.payload("grant")).body
    signed = base64.b64decode(grant.request.payload)
    assert canonical.decode(signed, type(examples.REQUEST)) == examples.REQUEST
    assert grant.request.payload_type == "application/vnd.inbond.request+json"


RANGES = [[[0, 4], [6, 7]], [[5, 6]]]
NO_RANGES = [[], [[4, 4]], [[5, 4]], [[0, 4], [4, 5]], [[6, 7], [0, 4]], [[0, 4], [3, 9]], [[0]], [[-1, 2]], [[0, 1, 2]]]


@pytest.mark.parametrize("rows", RANGES)
def test_parts_count_their_rows(rows):
    count = sum(last - first for first, last in rows)
    line = {"shard": examples.ref("shard"), "rows": rows, "split": "train", "count": count}
    assert canonical.decode(canonical.encode(line), lines.PartLine).count == count
    with pytest.raises(InvalidInput, match=r"rows of its ranges"):
        canonical.decode(canonical.encode(line | {"count": count + 1}), lines.PartLine)


@pytest.mark.parametrize("rows", NO_RANGES)
def test_ranges_are_in_order_and_apart(rows):
    for line, type in (
        ({"shard": examples.ref("shard"), "rows": rows, "split": "train", "count": 4}, lines.PartLine),
        ({"shard": examples.ref("shard"), "rows": rows}, lines.DerivedLine),
        ({"object": examples.ref("shard"), "rows": rows}, lines.TargetLine),
    ):
        with pytest.raises(InvalidInput):
            canonical.decode(canonical.encode(line), type)


def test_a_target_may_be_a_whole_object():
    line = canonical.decode(canonical.encode({"object": examples.ref("dataset")}), lines.TargetLine)
    assert line.rows is msgspec.UNSET


def test_nothing_in_a_statement_can_be_changed():
    for value in (examples.header(), *VARIANTS.values()):
        with pytest.raises(AttributeError):
            setattr(value, value.__struct_fields__[0], None)
