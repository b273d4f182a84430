"""Admission of what is on offer: keys, terms, teachers, shards, datasets, students."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select

from inbond.ledger.rules import Draft
from inbond.registry import gate
from inbond.registry import tables as t
from inbond.registry.admission.expectations import check_owner, expect_kind, expect_known_kind
from inbond.registry.current import newest
from inbond.registry.lists import Lists
from inbond.registry.terms import asking
from inbond.registry.training.layout import shards_in
from inbond.schemas.errors import Conflict, InvalidInput
from inbond.schemas.statements import (
    Dataset,
    ModelRole,
    PartLine,
    Shard,
    ShardKind,
    Signal,
    Student,
    Teacher,
    Terms,
)


def key(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A key's party exists."""
    expect_kind(draft.body.party, "party")


def terms(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """Terms are a party's, whose documents differ in title or version."""
    body: Terms = draft.body
    expect_kind(body.party, "party")
    if draft.statement.header.amends is not UNSET:
        return
    c, name = t.terms_scopes.c, f"{body.title}@{body.version}"
    query = select(c.ref, c.models).join(t.things, t.things.c.ref == c.ref).where(t.things.c.name == name, c.party == body.party)
    if rows := connection.execute(query.order_by(c.seq, c.position)).all():
        models = ", ".join(dict.fromkeys(row.models for row in rows))
        raise Conflict(
            f"terms {name} of this party are on record as {rows[0].ref}, for {models}: expected another title or version",
            hint="--title TITLE or --version VERSION; one document for all models of a party: --party PARTY instead of --teacher",
        )


def teacher(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A teacher's relations are models; only its owner may say that it is a student of this registry."""
    body: Teacher = draft.body
    expect_known_kind(body.party, "party")
    for ancestor in body.ancestry.value_or(()):
        expect_kind(ancestor.model, "teacher", "student")
    if not isinstance(body.same_as_student, UnsetType):
        expect_kind(body.same_as_student, "student")
        check_owner(connection, body.same_as_student, owner)


def shard(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A shard: its file has its size, its inputs can be read, its ordinal is free, its teachers are all named.

    Log-probabilities are about all rows of a text shard on record; those of what a teacher generated are of the one who wrote it.
    """
    body: Shard = draft.body
    expect_known_kind(body.supplier, "party")
    for model in body.models:
        expect_kind(model.teacher, "teacher")
    if not isinstance(draft.statement.header.amends, UnsetType):
        _check_redeclared(connection, draft)
        return
    lists.expect_size(body.file, body.size)
    lists.inputs(body.inputs)  # read now, so that what cannot be read never stands
    _check_text(connection, body)
    _check_derived(connection, body, lists)
    query = select(t.shards.c.ref).where(t.shards.c.import_identity == body.import_identity, t.shards.c.ordinal == body.ordinal)
    found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        raise Conflict(
            f"shard {body.ordinal} of import {body.import_identity[:23]} is on record as {found}",
            hint="another process imports the same files: repeat the command when it has ended, nothing will be doubled",
        )


def _check_text(connection: Connection, body: Shard) -> None:
    """The text shard that log-probabilities are about."""
    if isinstance(body.text_shard, UnsetType):
        return
    s, e, text = t.shards.c, t.edges.c, body.text_shard
    found = connection.execute(select(s.kind, s.rows).where(s.ref == text)).one_or_none()
    if found is None or found.kind != ShardKind.TEXT.value:
        raise InvalidInput(f"text_shard: expected a text shard that is on record, found {text}")
    if found.rows != body.rows:
        raise InvalidInput(f"logits shard: expected {found.rows} rows, those of {text}, found {body.rows}")
    if body.signal is Signal.GENERATED:
        [mine] = [model.teacher for model in body.models if model.role is ModelRole.LOGITS]
        makers = connection.execute(select(e.dst).where(e.src == text, e.relation.in_(_WRITERS))).scalars().all()
        if mine not in makers:
            raise InvalidInput(
                f"logits shard of signal generated: expected the teacher that wrote {text}, {', '.join(makers)}, found {mine}",
                hint="log-probabilities that another teacher gave have the signal scored",
            )


_WRITERS = (f"model:{ModelRole.RESPONSE}", f"model:{ModelRole.LOGITS}")


def _check_redeclared(connection: Connection, draft: Draft) -> None:
    """Facts declared later leave who made a shard as it is: the gate and lineage ask its first statement."""
    before: Shard = newest(connection, str(draft.statement.header.amends))[1]
    made, found = ([(model.teacher, model.role.value) for model in body.models] for body in (before, draft.body))
    if made != found:
        raise InvalidInput(f"shard statement: expected the models of {draft.statement.header.amends}, {made}, found {found}")


def _check_derived(connection: Connection, body: Shard, lists: Lists) -> None:
    """What a shard was made from does not lose its teachers: the gate and lineage ask the shard's own models."""
    lines = lists.derived(body.derived_from)
    rows = _rows_of(connection, {line.shard for line in lines})
    for line in lines:
        if line.rows[-1][1] > rows[line.shard]:
            raise InvalidInput(
                f"derived_from: expected rows within [0, {rows[line.shard]}) of {line.shard}, found {line.rows[-1]}"
            )
    named = {model.teacher for model in body.models}
    e = t.edges.c
    for source in sorted(rows):
        query = select(e.dst).where(e.src == source, e.relation.like("model:%"))
        if missing := set(connection.execute(query).scalars()) - named:
            raise InvalidInput(f"shard made from {source}: expected its models too, found none of {', '.join(sorted(missing))}")


def dataset(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A dataset version: parts exist with the rows they name, counts agree, the name and version are free."""
    body: Dataset = draft.body
    parts = lists.parts(body.parts)
    if not parts:
        raise InvalidInput(f"dataset {body.name}@{body.version}: expected at least one part, found none")
    rows = _rows_of(connection, {part.shard for part in parts}, ShardKind.TEXT)
    splits: dict[str, int] = {}
    for part in parts:
        if part.rows[-1][1] > rows[part.shard]:
            raise InvalidInput(
                f"dataset part: expected rows within [0, {rows[part.shard]}) of {part.shard}, found {part.rows[-1]}"
            )
        splits[part.split] = splits.get(part.split, 0) + part.count
    _check_logits(connection, parts)
    found = {"shards": len(rows), "rows": sum(splits.values()), "splits": splits}
    stated = {"shards": body.counts.shards, "rows": body.counts.rows, "splits": body.counts.splits}
    if found != stated:
        raise InvalidInput(f"dataset {body.name}@{body.version}: expected counts {found} as its parts say, found {stated}")
    taken = select(t.datasets.c.ref).where(
        t.datasets.c.owner == owner, t.datasets.c.name == body.name, t.datasets.c.version == body.version
    )
    if (other := connection.execute(taken).scalar_one_or_none()) is not None:
        raise Conflict(f"dataset {body.name}@{body.version} is on record as {other}: expected a new version")
    _check_policy(connection, draft, shards_in(parts))
    if not isinstance(body.previous, UnsetType):
        expect_kind(body.previous, "dataset")
        check_owner(connection, body.previous, owner)


def _check_policy(connection: Connection, draft: Draft, shards: Sequence[str]) -> None:
    """A verdict that a version carries is what terms say of its shards, as of the entries and at the time that it names."""
    policy = draft.body.policy.known
    if isinstance(policy, UnsetType):
        return
    size = int(policy.evaluated.facts_size)
    if policy.evaluated.rules not in gate.KNOWN_RULES or size > draft.seq:
        told = f"found {policy.evaluated.rules} over {size}"
        raise InvalidInput(f"dataset policy: expected rules {gate.RULES_DIGEST} over at most {draft.seq} entries, {told}")
    found = asking.answer_of_any(connection, shards, policy.evaluated.at, size)
    if found is None or (policy.verdict, policy.decisions) != (found.verdict, ()):
        said = "none, as nobody has read terms that apply" if found is None else f"verdict {found.verdict.value} by no decision"
        raise InvalidInput(f"dataset policy: expected {said}, found {policy.verdict.value} by {policy.decisions}")


def _check_logits(connection: Connection, parts: Sequence[PartLine]) -> None:
    """Log-probabilities stand beside the text that they are about, and all of one version speak of one vocabulary."""
    spoken: dict[tuple[str, int], str] = {}
    seen: dict[str, str] = {}
    for part in parts:
        for ref in part.logits or ():
            if ref not in seen:
                _, body = newest(connection, ref)
                if not isinstance(body, Shard) or isinstance(body.codec, UnsetType) or isinstance(body.text_shard, UnsetType):
                    raise InvalidInput(f"dataset part: expected a logits shard that is on record, found {ref}")
                seen[ref] = body.text_shard
                if body.codec.parameters.get("ids") != "table":  # such ids are the shard's own: it brings its table along
                    spoken.setdefault((body.codec.tokenizer, body.codec.vocabulary), ref)
            if seen[ref] != part.shard:
                raise InvalidInput(
                    f"dataset part: expected log-probabilities of {part.shard}, found {ref}, which are of {seen[ref]}"
                )
    if len(spoken) > 1:
        told = "; ".join(f"{ref}: {digest} of {size} tokens" for (digest, size), ref in list(spoken.items())[:3])
        raise InvalidInput(
            f"dataset: expected log-probabilities over one tokenizer and vocabulary, found {len(spoken)}: {told}",
            hint="put shards of different tokenizers into datasets of their own",
        )


def _rows_of(connection: Connection, shards: set[str], kind: ShardKind | None = None) -> dict[str, int]:
    listed, rows, s = sorted(shards), dict[str, int](), t.shards.c
    for start in range(0, len(listed), 500):
        query = select(t.shards.c.ref, t.shards.c.rows).where(t.shards.c.ref.in_(listed[start : start + 500]))
        rows.update({row.ref: row.rows for row in connection.execute(query if kind is None else query.where(s.kind == kind))})
    if missing := shards - rows.keys():
        which = "shards" if kind is None else f"shards of {kind.value}"
        raise InvalidInput(f"expected {which} that are on record, found {', '.join(sorted(missing)[:3])}")
    return rows


def student(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A student starts from models that are on record; its name and version are free."""
    body: Student = draft.body
    for origin in body.initialised_from:
        expect_kind(origin.model, "teacher", "student")
    taken = select(t.things.c.ref).where(
        t.things.c.kind == "student", t.things.c.owner == owner, t.things.c.name == f"{body.id}@{body.version}"
    )
    if draft.statement.header.amends is UNSET and (other := connection.execute(taken).scalar()) is not None:
        raise Conflict(f"student {body.id}@{body.version} is on record as {other}: expected a new version")
