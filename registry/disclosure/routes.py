"""Where everything that a student learned from belongs: the router's answers, with rulings where it leaves questions."""

from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import UnsetType

from inbond.registry.disclosure.facts import Decided, Facts, Given, UsedSource
from inbond.registry.disclosure.router import NOWHERE, OF_SOURCE, Prompts, Routed, Routing, route, route_hand
from inbond.registry.intake import MAKERS
from inbond.schemas.declared import Declared
from inbond.schemas.statements import CreatedBy, ModelRole, Output, PromptSource, SourceCategory, UseKind


@dataclass(frozen=True, slots=True)
class Open:
    """A question that nobody has ruled on: about `subject` (and a model of it), affecting shards, asked already or not."""

    subject: str
    teacher: str | None
    texts: tuple[str, ...]
    shards: tuple[str, ...]
    ask: str | None


@dataclass
class Routes:
    """The sections of shards and sources.

    `teachers` holds (shard, teacher, role) of those that belong to 2.5, `maybe` of those of which that is an open question.
    `ruled` are the entries of the rulings that were needed, by section; `idle` those that say other than the rules do.
    `unknown` lists shards by facts about their prompts that are not known.
    """

    shards: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    teachers: list[tuple[str, str, ModelRole]] = field(default_factory=list)
    maybe: list[tuple[str, str, ModelRole]] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)
    ruled: dict[str, set[int]] = field(default_factory=dict)
    idle: list[tuple[Decided, str, tuple[str, ...]]] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)

    def shards_in(self, section: str) -> list[str]:
        """The shards that belong to a section."""
        return [ref for ref, sections in self.shards.items() if section in sections]

    def sources_in(self, section: str) -> list[str]:
        """The sources that belong to a section."""
        return [ref for ref, sections in self.sources.items() if section in sections]


@dataclass(frozen=True, slots=True)
class _About:
    """What a question is about: the thing `object`, asked of `subject` (its dataset where it is in one), and maybe a model."""

    subject: str
    object: str
    datasets: tuple[str, ...]
    teacher: str | None


_Questions = dict[tuple[str, str | None, tuple[str, ...]], list[str]]
"""Things by what is asked of them: (subject, model, questions)."""


def routes_of(facts: Facts) -> Routes:
    """The sections of everything that is on record as given, and the questions that are open."""
    routes = Routes()
    questions: _Questions = {}
    for ref, shard in facts.shards.items():
        known = routing(facts, shard)
        found = route(known)
        about = _About(shard.datasets[0] if shard.datasets else ref, ref, shard.datasets, None)
        sections = _settle(facts, routes, ref, about, found, questions)
        routes.shards[ref] = sections or ()
        for fact in found.unknown:
            routes.unknown.setdefault(fact, []).append(ref)
        for model in shard.body.models:
            hand = sections
            if model.role not in MAKERS and sections is not None and "2.5" in sections:
                of_model = replace(about, teacher=model.teacher)
                hand = _settle(facts, routes, ref, of_model, route_hand(model.role, known), questions)
            if hand is None:
                routes.maybe.append((ref, model.teacher, model.role))
            elif "2.5" in hand:
                routes.teachers.append((ref, model.teacher, model.role))
    for ref, source in facts.sources.items():
        if source.in_training:
            routes.sources[ref] = _source(facts, routes, source, questions)
    for (subject, teacher, texts), shards in questions.items():
        wanted = {subject, facts.student.ref} | ({teacher} if teacher else set())
        ask = next((each.ask for each in reversed(facts.decisions) if each.ruling is None and each.subjects == wanted), None)
        routes.open.append(Open(subject, teacher, texts, tuple(shards), ask))
    return routes


def routing(facts: Facts, shard: Given) -> Routing:
    """The deciding facts of a shard, as its newest statement and the student's runs have them."""
    body = shard.body
    made = body.created_by.value_or(CreatedBy.UNKNOWN)
    return Routing(
        created_by=None if made is CreatedBy.UNKNOWN else made,
        uses=frozenset(facts.runs[run].opened.use_kind for run in shard.runs) or frozenset({UseKind.OTHER}),
        roles=frozenset(model.role for model in body.models),
        public=_is_there(body.public),
        on_behalf=body.on_behalf.is_known,
        licensed=_licensed(facts, shard),
        chosen=_chosen(body.output),
        prompts=_prompts(body.prompts),
    )


def _is_there(fact: Declared[Any]) -> bool | None:
    """True where a fact has a value, False where it is declared that there is none, None where that is not known."""
    return None if not isinstance(fact.unknown, UnsetType) else fact.is_known


def _licensed(facts: Facts, shard: Given) -> bool | None:
    """Whether every dataset that the runs read the shard from has a licence on record."""
    said = [_is_there(facts.datasets[ref].body.licence) for ref in shard.datasets]
    return None if not said or None in said else all(said)


def _chosen(fact: Declared[Output]) -> bool | None:
    """Whether more samples were made than kept."""
    output = fact.known
    if isinstance(output, UnsetType) or not (output.samples.is_known and output.kept.is_known):
        return None
    return output.samples.value_or(0) > output.kept.value_or(0)


def _prompts(fact: Declared[tuple[PromptSource, ...]]) -> tuple[Prompts, ...] | None:
    if isinstance(fact.known, UnsetType):
        return None if isinstance(fact.na, UnsetType) else ()
    said = {(each.category, each.in_training.known if isinstance(each.in_training.known, bool) else None) for each in fact.known}
    return tuple(Prompts(category, trained) for category, trained in sorted(said, key=str))


def _settle(facts: Facts, routes: Routes, object: str, about: _About, found: Routed, open: _Questions) -> tuple[str, ...] | None:
    """The sections that the rules or a ruling give; None for what neither settles, which goes on the list of questions.

    Prompts that were trained on stand under their sources, not here.
    """
    ruling = _ruling(facts, about)
    if not found.questions:
        sections = found.sections
        if ruling is not None and set(ruling.sections) - {NOWHERE} != set(found.sections) - {NOWHERE}:
            idle = (ruling, object, found.sections)
            routes.idle += [] if idle in routes.idle else [idle]
    elif ruling is not None:
        sections = ruling.sections
        for section in ruling.sections:
            routes.ruled.setdefault(section, set()).add(ruling.ruled)
    else:
        open.setdefault((about.subject, about.teacher, found.questions), []).append(object)
        return None
    return tuple(sorted({section for section in sections if section != NOWHERE}))


def _ruling(facts: Facts, about: _About) -> Decided | None:
    """The newest ruling about the thing itself, or else about a dataset that holds it, and about the same model."""
    found = None
    for level in (about.datasets, (about.object,)):
        fitting = [
            each
            for each in facts.decisions
            if each.ruling is not None
            and each.subjects & set(level)
            and {ref for ref in each.subjects if ref.startswith("teacher:")} == ({about.teacher} if about.teacher else set())
        ]
        found = max(fitting, key=lambda each: each.ruled) if fitting else found
    return found


def _source(facts: Facts, routes: Routes, source: UsedSource, open: _Questions) -> tuple[str, ...]:
    """The sections of a source, by what it is said to be; of synthetic data no statement says who made it."""
    sections = {OF_SOURCE[category] for category in source.categories if category is not SourceCategory.SYNTHETIC}
    if SourceCategory.SYNTHETIC not in source.categories:
        return tuple(sorted(sections))
    asked = Routed(questions=("synthetic data that came beside the registry's shards: no statement says who made it",))
    about = _About(source.thing.ref, source.thing.ref, (), None)
    return tuple(sorted({*sections, *(_settle(facts, routes, source.thing.ref, about, asked, open) or ())}))
