"""Pages of the classes of `listing`: queries over the catalogue, no rules.

A page is found by entry number, oldest first, so that it stays where it is while things are added. It costs what it shows,
not what is on record. Keys are few, and one entry brings several: a page of them is found by their place in the list, to
which only its end is added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select

from inbond.ledger.keyring import Keyring
from inbond.ledger.reader import LedgerReader
from inbond.registry import filters as by
from inbond.registry import items, listing, names
from inbond.registry import tables as t
from inbond.registry.items import Earlier
from inbond.registry.listing import MAX_PAGE, ListedKey
from inbond.registry.mentions import references
from inbond.registry.place import Page
from inbond.schemas.errors import InvalidInput


@dataclass(frozen=True)
class _List:
    """Where the rows of a list come from (`query`, with ref, seq and owner), their entry, what they are asked for by.

    `items` may be asked for as an earlier size of the log had them where `earlier` makes them so.
    """

    query: Any
    entry: ColumnElement[int]
    items: items.Items
    filters: Mapping[str, by.Filter]
    earlier: Earlier | None = None


AS_OF = "as_of"
"""The filter that asks for a list as the first so many entries say: of what is known of terms."""


def filters_of(what: type) -> tuple[str, ...]:
    """The fields by which items of a class can be asked for."""
    if what is ListedKey:
        return _KEY_FILTERS
    found = _list(what)
    return (*found.filters, *([] if found.earlier is None else [AS_OF]))


def kinds_by_filter(what: type) -> dict[str, tuple[str, ...]]:
    """The filters whose values mean things, with the kinds that those may be."""
    if what is ListedKey:
        return {"party": ("party",)}
    return {name: each.kinds for name, each in _list(what).filters.items() if each.kinds}


def page(
    reader: LedgerReader, keyring: Keyring, what: type, after: int = -1, limit: int = 100, wanted: Mapping[str, str] | None = None
) -> Page:
    """At most `limit` items of `what` that come after `after`, those that `wanted` fits; see `Place.page`.

    Values of `wanted` that mean things are references or names. Raises InvalidInput for a limit or filter that does not
    exist, NotFound for the name of nothing.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"list: expected a limit from 1 to {MAX_PAGE}, found {limit}")
    given = dict(wanted or {})
    if strange := sorted(given.keys() - set(filters_of(what))):
        raise InvalidInput(f"list: expected to be asked for {', '.join(filters_of(what))}, found {', '.join(strange)}")
    size = size_in(given)
    given.pop(AS_OF, None)
    if size is not None and not 0 < size <= reader.size:
        raise InvalidInput(f"as of: expected a size from 1 to {reader.size}, found {size}")
    connection = reader.connection
    if what is ListedKey:
        found, following = _keys(connection, keyring, after, limit, given)
    else:
        found, following = _rows(connection, what, after, limit, given, size)
    called = names.names_of(connection, references(found), size)
    return Page(tuple(found), following, reader.size if size is None else size, called)


def size_in(wanted: Mapping[str, str]) -> int | None:
    """The size of the log that a list is asked for as of, None for the newest. Raises InvalidInput for what is no number."""
    stated = wanted.get(AS_OF)
    if stated is None:
        return None
    if not (stated.isascii() and stated.isdigit() and len(stated) <= 16):
        raise InvalidInput(f"as of: expected a size of the log, found {stated[:80]!r}")
    return int(stated)


def _rows(
    connection: Connection, what: type, after: int, limit: int, wanted: Mapping[str, str], size: int | None
) -> tuple[list[Any], int | None]:
    kind = _list(what)
    query = kind.query.where(kind.entry > after)
    if size is not None:
        query = query.where(kind.entry < size)
    for name, value in wanted.items():
        query = query.where(kind.filters[name].condition(connection, value, size))
    rows = connection.execute(query.order_by(kind.entry).limit(limit + 1)).all()
    if size is None or kind.earlier is None:
        found = list(kind.items(connection, rows[:limit]))
    else:
        found = list(kind.earlier(connection, rows[:limit], size))
    return found, found[-1].entry if len(rows) > limit else None


_KEY_FILTERS = ("fingerprint", "party", "role")


def _keys(
    connection: Connection, keyring: Keyring, after: int, limit: int, wanted: Mapping[str, str]
) -> tuple[list[ListedKey], int | None]:
    party = names.resolve(connection, wanted["party"], "party") if "party" in wanted else None
    found = [
        key
        for key in sorted(items.keys(connection, keyring), key=lambda key: key.entries[0])
        if wanted.get("fingerprint", key.fingerprint) == key.fingerprint
        and wanted.get("role", "") in (*key.roles, "")
        and party in (key.party, None)
    ]
    end = after + 1 + limit
    return found[after + 1 : end], end - 1 if end < len(found) else None


def places(what: type, found: Sequence[Any], after: int) -> list[int]:
    """What `after` must be for a page to go on behind each of the items of a page that began after `after`."""
    return list(range(after + 1, after + 1 + len(found))) if what is ListedKey else [item.entry for item in found]


def _list(what: type) -> _List:
    if what not in _LISTS:
        raise InvalidInput(f"expected a class of listing, found {what.__name__}")
    return _LISTS[what]


# -- the lists -------------------------------------------------------------------------------------------------------------


def _things(
    kind: str, to: items.Items, *more: Any, named: bool = True, earlier: Earlier | None = None, **filters: by.Filter
) -> _List:
    """Things of a kind, each by the statement that made it."""
    c = t.things.c
    query = select(c.ref, c.seq, c.owner, *more).where(c.kind == kind, c.amends.is_(None))
    name = {"name": by.name(kind)} if named else {}
    things = {"ref": by.thing(c.ref, kind), "owner": by.thing(c.owner, "party")}
    return _List(query, c.seq, to, {**things, **name, **filters}, earlier)


def _of(table: Any, to: items.Items, *more: Any, **filters: by.Filter) -> _List:
    """What stands in a table of its own, a row each."""
    c = t.things.c
    query = select(table, c.owner.label("made_by"), *more) if "owner" in table.c else select(table, c.owner, *more)
    return _List(
        query.join(t.things, c.ref == table.c.ref),
        table.c.seq,
        to,
        {"ref": by.value(table.c.ref), "owner": by.thing(c.owner, "party"), **filters},
    )


def _grouped(table: Any, to: items.Items, columns: tuple[Any, ...], *more: Any, where: Any = None, **filters: by.Filter) -> _List:
    """What stands in a table of its own, several rows each that share `columns`."""
    c = t.things.c
    shared = (table.c.ref, table.c.seq, c.owner, *columns)
    query = select(*shared, *more).join(t.things, c.ref == table.c.ref).group_by(*shared)
    query = query if where is None else query.where(where)
    return _List(query, table.c.seq, to, {"ref": by.value(table.c.ref), "owner": by.thing(c.owner, "party"), **filters})


def _lists() -> dict[type, _List]:
    c, s, p, r, d, w = t.things.c, t.shards.c, t.dataset_parts.c, t.runs.c, t.decisions.c, t.recalls.c
    g, u, v, x, o = t.grants.c, t.consumptions.c, t.deliveries.c, t.releases.c, t.reports.c
    e, by_input = t.edges.c, select(t.shard_inputs.c.shard)
    about, hit, later = t.decisions.alias(), t.recalls.alias(), t.things.alias()
    newest = ~exists(select(later.c.ref).where(later.c.amends == t.teachers.c.ref))
    provided = select(func.count()).where(t.teachers.c.party == c.ref, newest).scalar_subquery().label("teachers")
    digest = by.value(c.digest)
    return {
        listing.ListedParty: _things("party", items.parties, provided),
        listing.ListedTeacher: _things("teacher", items.teachers, party=by.party(t.teachers)),
        listing.ListedTerms: _things(
            "terms", items.terms, earlier=items.terms, party=by.party(t.terms_scopes), digest=digest, in_force=by.in_force()
        ),
        listing.ListedFact: _things(
            "terms_fact", items.readings, named=False, earlier=items.readings, terms=by.terms(t.terms_facts)
        ),
        listing.ListedAcceptance: _things(
            "acceptance",
            items.acceptances,
            named=False,
            earlier=items.acceptances,
            terms=by.terms(t.acceptances),
            party=by.party(t.acceptances),
        ),
        listing.ListedStudent: _things(
            "student",
            items.students,
            select(func.count()).where(r.student == c.ref).scalar_subquery().label("runs"),
            select(func.count()).where(x.student == c.ref).scalar_subquery().label("releases"),
        ),
        listing.ListedSource: _things("source", items.sources),
        listing.ListedOperator: _things("operator", items.operators, named=False),
        listing.ListedDataset: _of(
            t.datasets,
            items.datasets,
            c.body,
            name=by.dataset_name(),
            shard=by.thing_in(t.datasets.c.ref, p.dataset, p.shard, "shard"),
            digest=digest,
        ),
        listing.ListedShard: _of(
            t.shards,
            items.shards,
            teacher=by.thing_in(s.ref, e.src, e.dst, "teacher", where=e.relation.like("model:%")),
            dataset=by.thing_in(s.ref, p.shard, p.dataset, "dataset"),
            input=by.Filter(lambda _connection, value, _size: s.ref.in_(by_input.where(t.shard_inputs.c.digest == value))),
            import_identity=by.value(s.import_identity),
            digest=by.value(s.file),
        ),
        listing.ListedRun: _of(
            t.runs,
            items.runs,
            name=by.value(r.name),
            student=by.thing(r.student, "student"),
            dataset=by.thing_in(r.ref, t.run_sources.c.run, t.run_sources.c.dataset, "dataset"),
            outcome=by.value(r.outcome),
        ),
        listing.ListedGrant: _of(
            t.grants,
            items.plain(listing.ListedGrant, "run", "student", "mode", "verdict", "expires", "report_by"),
            run=by.thing(g.run, "run"),
            student=by.thing(g.student, "student"),
            mode=by.value(g.mode),
        ),
        listing.ListedConsumption: _of(
            t.consumptions,
            items.plain(listing.ListedConsumption, "run", "grant", "sequence", "epoch", "first", "last", "rows", "state"),
            run=by.thing(u.run, "run"),
            grant=by.thing(u.grant, "grant"),
        ),
        listing.ListedDelivery: _of(
            t.deliveries,
            items.plain(listing.ListedDelivery, "object", "recipient", "channel", "grant"),
            object=by.thing(v.object, "dataset", "shard"),
            grant=by.thing(v.grant, "grant"),
            recipient=by.thing(v.recipient, "party"),
            channel=by.value(v.channel),
        ),
        listing.ListedRelease: _of(
            t.releases,
            items.plain(listing.ListedRelease, "student", "weights", "released"),
            student=by.thing(x.student, "student"),
            digest=by.value(x.weights),
        ),
        listing.ListedReport: _of(
            t.reports,
            items.plain(listing.ListedReport, "student", "template", "profile", "tree_size", "model", "supersedes"),
            student=by.thing(o.student, "student"),
            template=by.value(o.template),
            profile=by.value(o.profile),
        ),
        listing.ListedRecall: _grouped(
            t.recalls,
            items.plain(listing.ListedRecall, "category", "action", "effective", "shards", "rows"),
            (w.category, w.action, w.effective),
            func.count(w.shard.distinct()).label("shards"),
            func.sum(w.last - w.first).label("rows"),
            shard=by.thing_in(w.ref, hit.c.ref, hit.c.shard, "shard"),
            dataset=by.thing_in(w.ref, hit.c.ref, p.dataset, "dataset", where=p.shard == hit.c.shard),
            category=by.value(w.category),
            action=by.value(w.action),
        ),
        listing.ListedDecision: _grouped(
            t.decisions,
            items.decisions,
            (d.question, d.until),
            where=d.phase == "ask",
            student=by.thing_in(d.ref, about.c.ref, about.c.subject, "student"),
            terms=by.thing_in(d.ref, about.c.ref, about.c.subject, "terms"),
        ),
    }


_LISTS = _lists()
