"""From the ledger to a report: the model of a student under a template, as of a tree size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import select

from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.disclosure import california, eu
from inbond.registry.disclosure.checking import lints
from inbond.registry.disclosure.document import SCHEMA, Disclosure, Earlier, Lint, Named, encode
from inbond.registry.disclosure.facts import Facts
from inbond.registry.disclosure.gathering import gather
from inbond.registry.disclosure.ledger import Ledger
from inbond.registry.disclosure.sheet import Form, Sheet
from inbond.registry.objects import ObjectStore
from inbond.registry.words import word
from inbond.schemas.errors import InvalidInput, NotFound
from inbond.schemas.statements import Profile, Report, Template


@dataclass(frozen=True, slots=True)
class Kind:
    """A template: its form, and what fills it in."""

    form: Form
    fill: Callable[[Sheet, Facts, Sequence[Earlier]], None]


TEMPLATES = {kind.form.id: kind for kind in (Kind(eu.FORM, eu.fill), Kind(california.FORM, california.fill))}
"""The templates by name."""

PROFILES = (Profile.PUBLIC,)
"""For whom reports can be made so far."""


def form_of(template: str) -> Kind:
    """The template called `template`. Raises NotFound for another name."""
    kind = TEMPLATES.get(template)
    if kind is None:
        raise NotFound(f"no template is called {template!r}: expected one of {', '.join(TEMPLATES)}")
    return kind


def profile_of(options: Mapping[str, Any]) -> Profile:
    """The profile in options, public unless given. Raises InvalidInput for others and for options that do not exist."""
    if unknown := set(options) - {"profile", "student", "template"}:
        raise InvalidInput(f"report: expected the option profile, found {', '.join(sorted(unknown))}")
    profile = word(Profile, str(options.get("profile", Profile.PUBLIC)), "profile")
    if profile not in PROFILES:
        raise InvalidInput(f"report: expected the profile {' or '.join(PROFILES)}, found {profile}, which has no rules yet")
    return profile


def report_model(
    reader: LedgerReader, store: ObjectStore, student: str, template: str, options: Mapping[str, Any], size: int | None = None
) -> bytes:
    """The report about `student` under `template` as of `size` entries (all unless given), as canonical JSON.

    The same size and options give the same bytes: nothing comes from a clock.
    """
    kind, profile = form_of(template), profile_of(options)
    at = reader.size if size is None else size
    facts = gather(reader, store, student, at)
    earlier = earlier_reports(facts.ledger, facts.student.ref, template, profile)
    sheet = Sheet(kind.form, at)
    kind.fill(sheet, facts, earlier)
    sections = sheet.sections()
    return encode(
        Disclosure(
            schema_=SCHEMA,
            template=Template(id=kind.form.id, version=kind.form.version, digest=kind.form.digest),
            form=f"{kind.form.title}: {kind.form.follows}",
            profile=profile,
            origin=_origin(reader),
            tree_size=at,
            root=f"sha256:{reader.root_at(at).hex()}",
            time=facts.ledger.time,
            student=Named(ref=facts.student.ref, name=facts.student.name),
            provider=Named(ref=facts.provider.ref, name=facts.provider.name),
            version=len(earlier) + 1,
            earlier=tuple(earlier),
            released=bool(facts.releases),
            missing=sum(gap.required for gap in sheet.gaps),
            sections=sections,
            gaps=tuple(sorted(sheet.gaps, key=lambda gap: kind.form.place(gap.field))),
            lints=(*lints(sections), *(Lint(field=field, text=text) for field, text in sheet.remarks)),
            queries=sheet.queries(),
        )
    )


def earlier_reports(ledger: Ledger, student: str, template: str, profile: Profile) -> list[Earlier]:
    """The reports on record about a student with this template and profile, oldest first."""
    c = t.reports.c
    wanted = (c.student == student, c.template == template, c.profile == profile.value, c.seq < ledger.size)
    refs = list(ledger.connection.execute(select(c.ref).where(*wanted).order_by(c.seq)).scalars())
    things = ledger.things(refs)
    found = []
    for version, ref in enumerate(refs, 1):
        body: Report = things[ref].body
        url = UNSET if isinstance(body.published, UnsetType) else body.published.url
        found.append(Earlier(version=version, ref=ref, entry=things[ref].made, model=body.model, url=url))
    return found


class _Genesis(msgspec.Struct):
    origin: str


def _origin(reader: LedgerReader) -> str:
    c = t.things.c
    body = reader.connection.execute(select(c.body).where(c.kind == "genesis")).scalar_one()
    return msgspec.json.decode(bytes(body), type=_Genesis).origin
