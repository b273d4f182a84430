"""The catalogue as a fold over the ledger: which rows follow from a statement, kind by kind.

`project` is a function of the entries so far and of the lists they name; `inbond rebuild` runs it again over everything
and gets the same rows. It decides nothing: what may stand is admission's matter.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import UnsetType
from sqlalchemy import Connection, Table, select

from inbond.ledger.pending import pending
from inbond.ledger.prepared import Prepared
from inbond.ledger.rules import Draft
from inbond.registry import tables as t
from inbond.registry.current import first_of
from inbond.registry.lists import Lists, delivered_spans, target_spans
from inbond.registry.signers import authorised, requested
from inbond.registry.terms.circumstances import circumstances_of
from inbond.registry.training.layout import Span, merged
from inbond.schemas import canonical
from inbond.schemas.declared import Declared
from inbond.schemas.errors import NotPermitted
from inbond.schemas.statements import (
    Acceptance,
    Consume,
    Dataset,
    DecisionRule,
    Delivery,
    Extent,
    Genesis,
    Grant,
    Party,
    Recall,
    Release,
    Report,
    RunOpen,
    Shard,
    Student,
    Teacher,
    Terms,
    TermsFact,
)
from inbond.schemas.statements import DecisionAsk as Ask


def project(connection: Connection, draft: Draft, lists: Lists) -> None:
    """Write the catalogue rows of one statement, or leave them to be written (`ledger.pending`)."""
    header, waiting = draft.statement.header, pending(connection)
    amends = None if isinstance(header.amends, UnsetType) else header.amends
    owner, visibility, body = _owner(draft), header.visibility.value, canonical.bytes_of(draft.body)
    for ref, kind, name, digest in _things(connection, draft):
        waiting.add(_INSERT_THING, [(ref, kind, draft.seq, owner, name, digest, amends, visibility, body)])
        waiting.notes[ref] = amends
    write = _ROWS.get(type(draft.body))
    if write is not None:
        write(connection, draft, draft.body, lists)


def _put(connection: Connection, table: Table, rows: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Have rows inserted; columns that they leave out are null."""
    insert, names = _INSERTS[table.name]
    listed = rows if isinstance(rows, list) else [rows]
    pending(connection).add(insert, [tuple([row.get(name) for name in names]) for row in listed])


_INSERTS = {table.name: (Prepared.insert(table), [column.name for column in table.columns]) for table in t.TABLES}
_INSERT_THING = _INSERTS[t.things.name][0]


def teacher_name(connection: Connection, body: Teacher) -> str | None:
    """What people type for a teacher: `party/model@version`, as far as it is known."""
    model = body.model.value_or("")
    if not model:
        return None
    version = body.version.value_or("")
    party = connection.execute(select(t.things.c.name).where(t.things.c.ref == body.party.value_or(""))).scalar()
    name = f"{party}/{model}" if party else model
    return f"{name}@{version}" if version else name


def _things(connection: Connection, draft: Draft) -> list[tuple[str, str, str | None, str | None]]:
    """(ref, kind, name, digest) of what the statement makes; genesis makes the first party too."""
    body, kind = draft.body, draft.kind
    name: str | None = None
    digest: str | None = None
    if isinstance(body, Genesis):
        party = f"party:{draft.statement.header.id}"
        return [(draft.ref, "genesis", None, None), (party, "party", body.operator.name, None)]
    if isinstance(body, Party):
        name = body.aliases[0] if body.aliases else body.legal_name.value_or("") or None
    elif isinstance(body, Teacher):
        name = teacher_name(connection, body)
    elif isinstance(body, Student):
        name = f"{body.id}@{body.version}"
    elif isinstance(body, Dataset):
        name, digest = f"{body.name}@{body.version}", body.parts.digest
    elif isinstance(body, Terms):
        name, digest = f"{body.title}@{body.version}", body.text
    elif isinstance(body, Shard):
        digest = body.file
    elif isinstance(body, RunOpen) or kind == "source":
        name = body.name
    elif kind == "release":
        digest = body.weights
    elif kind == "report":
        digest = body.model
    return [(draft.ref, kind, name, digest)]


def _owner(draft: Draft) -> str:
    if draft.kind == "genesis":
        return f"party:{draft.statement.header.id}"
    try:
        return authorised(draft).party
    except NotPermitted:
        return draft.signers[0].party  # a key statement by an admin


def _value(fact: Declared[Any]) -> Any:
    return fact.known if fact.is_known else None


def _first(edges: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], str]:
    """The detail of each (model, relation), the first where a statement names one twice: a pair is one edge."""
    found: dict[tuple[str, str], str] = {}
    for model, relation, detail in edges:
        found.setdefault((model, relation), detail)
    return found


def _edge(connection: Connection, draft: Draft, src: str, dst: str, relation: str, detail: str | None = None) -> None:
    row = {"src": src, "dst": dst, "relation": relation, "seq": draft.seq, "detail": detail}
    _put(connection, t.edges, row)


def _teacher(connection: Connection, draft: Draft, body: Teacher, lists: Lists) -> None:
    same_as = None if isinstance(body.same_as_student, UnsetType) else body.same_as_student
    row = {
        "ref": draft.ref,
        "seq": draft.seq,
        "party": _value(body.party),
        "model": _value(body.model),
        "version": _value(body.version),
        "access_path": _value(body.access_path),
        "same_as": same_as,
    }
    _put(connection, t.teachers, row)
    if same_as:
        _edge(connection, draft, draft.ref, same_as, "same_as")
    for (model, edge), basis in _first((a.model, a.edge.value, a.basis.value) for a in body.ancestry.value_or(())).items():
        _edge(connection, draft, draft.ref, model, edge, basis)


def _terms(connection: Connection, draft: Draft, body: Terms, lists: Lists) -> None:
    rows = [
        {"party": body.party, "models": models, "access_path": scope.access_path.value}
        for scope in body.applies_to
        for models in scope.models
    ]
    _put(connection, t.terms_scopes, [{"ref": draft.ref, "seq": draft.seq, "position": i, **row} for i, row in enumerate(rows)])


def _terms_fact(connection: Connection, draft: Draft, body: TermsFact, lists: Lists) -> None:
    modality = None if isinstance(body.modality, UnsetType) else body.modality.value
    row = {"ref": draft.ref, "seq": draft.seq, "terms": body.terms, "clause": body.clause, "scope": body.scope.value}
    permits, grade = body.permits_training.value, body.grade.value
    _put(connection, t.terms_facts, {**row, "modality": modality, "permits": permits, "grade": grade})


def _acceptance(connection: Connection, draft: Draft, body: Acceptance, lists: Lists) -> None:
    row = {"ref": draft.ref, "seq": draft.seq, "terms": body.terms, "party": body.party, "means": body.means.value}
    _put(connection, t.acceptances, {**row, "accepted": _value(body.accepted), "ended": _value(body.ended)})


def _shard(connection: Connection, draft: Draft, body: Shard, lists: Lists) -> None:
    amends = draft.statement.header.amends
    shard = draft.ref if isinstance(amends, UnsetType) else first_of(connection, [amends])[amends]
    made = circumstances_of(_owner(draft), body)
    _put(connection, t.shard_makings, {"ref": draft.ref, "seq": draft.seq, "shard": shard, "made": made})
    if not isinstance(amends, UnsetType):
        return  # it repeats what was measured; what else it declares is in `things`
    row = {
        "ref": draft.ref,
        "seq": draft.seq,
        "kind": body.kind.value,
        "file": body.file,
        "size": body.size,
        "block_root": body.block_root,
        "record_root": body.record_root,
        "rows": body.rows,
        "import_identity": body.import_identity,
        "ordinal": body.ordinal,
        **_tokens(body),
    }
    _put(connection, t.shards, row)
    inputs: dict[str, int] = {}
    for line in lists.inputs(body.inputs):
        inputs[line.digest] = inputs.get(line.digest, 0) + line.rows
    rows = [{"shard": draft.ref, "digest": digest, "seq": draft.seq, "rows": count} for digest, count in inputs.items()]
    _put(connection, t.shard_inputs, rows)
    for teacher, role in {(model.teacher, model.role.value): None for model in body.models}:
        _edge(connection, draft, draft.ref, teacher, f"model:{role}")
    if body.derived_from.count:
        _derived(connection, draft, body, lists)
    if not isinstance(body.text_shard, UnsetType):
        _edge(connection, draft, draft.ref, body.text_shard, "logits_of")


def _derived(connection: Connection, draft: Draft, body: Shard, lists: Lists) -> None:
    """Edges to the shards that a shard was made from, with the rows of each as `first:last` with spaces between."""
    sources: dict[str, list[tuple[int, int]]] = {}
    for line in lists.derived(body.derived_from):
        sources.setdefault(line.shard, []).extend(line.rows)
    for source, rows in sources.items():
        detail = " ".join(f"{first}:{last}" for first, last in merged(rows))
        _edge(connection, draft, draft.ref, source, "derived_from", detail)


def _tokens(body: Shard) -> dict[str, Any]:
    """The sum of a shard's tokens where both parts of it are known, and the tokenizer where one is named."""
    stated = body.tokens.known
    if isinstance(stated, UnsetType):
        return {}
    both = stated.prompt.is_known and stated.response.is_known
    total = stated.prompt.value_or(0) + stated.response.value_or(0) if both else None
    return {"tokens": total, "tokenizer": _value(stated.tokenizer)}


def _dataset(connection: Connection, draft: Draft, body: Dataset, lists: Lists) -> None:
    _put(
        connection,
        t.datasets,
        {
            "ref": draft.ref,
            "seq": draft.seq,
            "owner": _owner(draft),
            "name": body.name,
            "version": body.version,
            "rows": body.counts.rows,
        },
    )
    parts = lists.parts(body.parts)
    spans: list[tuple[str, str | None, tuple[int, int]]]
    spans = [(part.shard, part.split, rows) for part in parts for rows in part.rows]
    spans += [(logits, None, rows) for part in parts for logits in part.logits or () for rows in part.rows]
    _put(
        connection,
        t.dataset_parts,
        [
            {
                "dataset": draft.ref,
                "position": position,
                "seq": draft.seq,
                "shard": shard,
                "first": rows[0],
                "last": rows[1],
                "split": split,
            }
            for position, (shard, split, rows) in enumerate(spans)
        ],
    )


def _student(connection: Connection, draft: Draft, body: Student, lists: Lists) -> None:
    edges = _first((origin.model, "initialised_from", origin.relation.value) for origin in body.initialised_from)
    for (model, edge), relation in edges.items():
        _edge(connection, draft, draft.ref, model, edge, relation)


def _run_open(connection: Connection, draft: Draft, body: RunOpen, lists: Lists) -> None:
    _put(
        connection,
        t.run_sources,
        [
            {
                "run": draft.ref,
                "position": position,
                "seq": draft.seq,
                "dataset": source.dataset,
                "split": source.split,
                "weight": source.weight,
            }
            for position, source in enumerate(body.plan.sources)
        ],
    )


def _grant(connection: Connection, draft: Draft, body: Grant, lists: Lists) -> None:
    _put(
        connection,
        t.grants,
        {
            "ref": draft.ref,
            "seq": draft.seq,
            "run": body.run,
            "student": body.student,
            "request": requested(body.request).id,
            "mode": body.mode.value,
            "verdict": body.verdict.value,
            "granted": draft.time,
            "expires": body.expires,
            "report_by": body.report_by,
        },
    )


def _consume(connection: Connection, draft: Draft, body: Consume, lists: Lists) -> None:
    _put(
        connection,
        t.consumptions,
        {
            "ref": draft.ref,
            "seq": draft.seq,
            "run": body.run,
            "grant": None if isinstance(body.grant, UnsetType) else body.grant,
            "sequence": body.sequence,
            "epoch": body.epoch,
            "first": body.first,
            "last": body.last,
            "rows": body.rows,
            "state": body.state.value,
        },
    )
    layout = lists.layout(connection, body.run)
    _expose(connection, draft, body.run, list(layout.between(body.first, body.last)), body.epoch)


def _delivery(connection: Connection, draft: Draft, body: Delivery, lists: Lists) -> None:
    row = {"ref": draft.ref, "seq": draft.seq, "object": body.object, "recipient": _value(body.recipient)}
    grant = None if isinstance(body.grant, UnsetType) else body.grant
    extent = Extent.SHARDS if isinstance(body.extent, UnsetType) else body.extent
    _put(connection, t.deliveries, {**row, "channel": body.channel.value, "grant": grant, "extent": extent.value})
    if isinstance(body.grant, UnsetType):
        return
    run = connection.execute(select(t.grants.c.run).where(t.grants.c.ref == body.grant)).scalar_one()
    _expose(connection, draft, run, delivered_spans(connection, body), None)


def _expose(connection: Connection, draft: Draft, run: str, spans: list[Span], epoch: int | None) -> None:
    rows = [
        {
            "by": draft.ref,
            "position": position,
            "seq": draft.seq,
            "run": run,
            "shard": span.shard,
            "first": span.first,
            "last": span.last,
            "epoch": epoch,
        }
        for position, span in enumerate(spans)
    ]
    if rows:
        _put(connection, t.exposures, rows)


def _release(connection: Connection, draft: Draft, body: Release, lists: Lists) -> None:
    if not isinstance(draft.statement.header.amends, UnsetType):
        return  # it repeats all of this
    row = {"ref": draft.ref, "seq": draft.seq, "student": body.student, "weights": body.weights, "released": body.released}
    _put(connection, t.releases, row)
    _edge(connection, draft, draft.ref, body.student, "release_of")
    for model in dict.fromkeys(body.merged_from):
        _edge(connection, draft, draft.ref, model, "merged_from")


def _recall(connection: Connection, draft: Draft, body: Recall, lists: Lists) -> None:
    row = {"ref": draft.ref, "seq": draft.seq, "category": body.category.value, "action": body.action.value}
    rows = [
        {**row, "position": position, "effective": body.effective, "shard": span.shard, "first": span.first, "last": span.last}
        for position, span in enumerate(target_spans(connection, lists.targets(body.targets)))
    ]
    if rows:
        _put(connection, t.recalls, rows)


def _report(connection: Connection, draft: Draft, body: Report, lists: Lists) -> None:
    row = {"ref": draft.ref, "seq": draft.seq, "template": body.template.id, "profile": body.profile.value, "model": body.model}
    supersedes = None if isinstance(body.supersedes, UnsetType) else body.supersedes
    student = lists.options(body.options).student
    _put(connection, t.reports, {**row, "student": student, "tree_size": body.tree_size, "supersedes": supersedes})


def _decision(connection: Connection, draft: Draft, body: Ask | DecisionRule, lists: Lists) -> None:
    rule = body if isinstance(body, DecisionRule) else None
    row = {
        "ref": draft.ref,
        "seq": draft.seq,
        "phase": "rule" if rule else "ask",
        "ask": rule.ask if rule else None,
        "question": body.question.value,
        "signers": " ".join(sorted(signer.keyid for signer in draft.signers)),
        "ruling": rule.ruling.value if rule else None,
        "starts": body.from_,
        "until": _value(body.until),
    }
    _put(connection, t.decisions, [{**row, "subject": subject} for subject in sorted(set(body.subjects))])


_ROWS: dict[type, Callable[[Connection, Draft, Any, Lists], None]] = {
    Teacher: _teacher,
    Terms: _terms,
    TermsFact: _terms_fact,
    Acceptance: _acceptance,
    Shard: _shard,
    Dataset: _dataset,
    Student: _student,
    RunOpen: _run_open,
    Grant: _grant,
    Consume: _consume,
    Delivery: _delivery,
    Release: _release,
    Recall: _recall,
    Report: _report,
    Ask: _decision,
    DecisionRule: _decision,
}
