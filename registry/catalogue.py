"""Who and what: parties, teachers, terms, students, releases put on record, with what is not declared recorded as not known."""

import glob
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any

from msgspec import UNSET, UnsetType

from inbond.registry.facts import fill
from inbond.registry.listing import ListedRun, ListedTerms
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.recorder import Said
from inbond.registry.terms.known import Document, overlaps
from inbond.registry.terms.releasing import policy_of
from inbond.registry.times import now
from inbond.registry.words import word
from inbond.schemas.declared import known, unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted
from inbond.schemas.scalars import AccessPath, Modality, Role
from inbond.schemas.statements import (
    AppliesTo,
    Effective,
    InitialisedFrom,
    Party,
    Relation,
    Release,
    ReleasedRun,
    ReleasePlan,
    Student,
    Teacher,
    Terms,
)


def add_party(registry: OpenRegistry, name: str, facts: Mapping[str, Any]) -> Recorded:
    """Put a party on record. Raises Conflict when one is called `name` already."""
    try:
        found = registry.resolve(name, "party")
    except NotFound:
        body = fill(Party, facts, fixed={"aliases": (name,)}, where="party", resolve=_resolver(registry))
        return registry.record("party", body, Role.COMPLIANCE)
    raise Conflict(f"party {name} is on record as {found}: expected a new name")


def add_teacher(registry: OpenRegistry, spec: str, facts: Mapping[str, Any], create: bool, same_as: str | None) -> Recorded:
    """Put `party/model@version` on record; the party must be, unless `create` puts it there too.

    A teacher differs from another by its access path as well: the same name may stand for several.
    """
    return _add_teacher(registry, spec, facts, create, same_as, secrets.token_hex(16))


def _add_teacher(
    registry: OpenRegistry, spec: str, facts: Mapping[str, Any], create: bool, same_as: str | None, id: str
) -> Recorded:
    party_name, model, version = split_teacher(spec)
    party = _party(registry, party_name, create)
    student: str | UnsetType = UNSET if same_as is None else registry.resolve(same_as, "student")
    fixed: dict[str, Any] = {
        "party": known(party),
        "model": known(model),
        "version": known(version) if version else unknown(),
        "same_as_student": student,
    }
    body = fill(Teacher, facts, fixed=fixed, where="teacher", resolve=_resolver(registry))
    return registry.recorder.record(Said("teacher", body, [registry.keys.role(Role.PRODUCER)], id=id))


def teacher_of_import(registry: OpenRegistry, spec: str, facts: Mapping[str, Any]) -> str:
    """The teacher called `spec`, put on record with its party where it is missing. Said by several at once, it is said once."""
    try:
        return registry.resolve(spec, "teacher")
    except NotFound:
        pass
    try:
        return _add_teacher(registry, spec, facts, True, None, _id_of(registry, "teacher", spec)).ref
    except Conflict:  # somebody says it at the same time
        return registry.resolve(spec, "teacher")


def _id_of(registry: OpenRegistry, kind: str, name: str) -> str:
    """The header id under which a thing that is missing is made, the same whoever makes it."""
    return sha256(f"inbond-missing-{kind}-v1\n{registry.origin}\n{name}".encode()).hexdigest()[:32]


def split_teacher(spec: str) -> tuple[str, str, str]:
    """The party, model and version in `party/model@version`; the version may be missing."""
    party, slash, rest = spec.partition("/")
    model, _, version = rest.partition("@")
    if not (party and slash and model):
        raise InvalidInput(f"teacher: expected PARTY/MODEL@VERSION, such as openai/gpt-4o@2024-05-13, found {spec!r}")
    return party, model, version


def no_teacher(spec: str) -> NotFound:
    """What to say when a teacher is not on record."""
    return NotFound(
        f"no teacher is called {spec!r}", hint=f"inbond teacher add {quote(spec)}   (or repeat the command with --create)"
    )


def scope_of(registry: OpenRegistry, teacher: str, party: str | None = None) -> dict[str, Any]:
    """What terms for a teacher's outputs apply to, as arguments of `add_terms`: its party, its model, its access path.

    `party` stands in for a party that is not the teacher's, or not known.
    """
    body: Teacher = registry.newest(registry.resolve(teacher, "teacher")).body
    if not body.party.is_known and party is None:
        raise InvalidInput(f"teacher {teacher}: expected one whose party is known, as terms are a party's", hint="--party PARTY")
    models = (glob.escape(body.model.known),) if not isinstance(body.model.known, UnsetType) else ("*",)
    return {
        "party": party or body.party.known,
        "models": models,
        "access_path": body.access_path.value_or(AccessPath.UNKNOWN).value,
    }


def add_terms(
    registry: OpenRegistry,
    text: bytes,
    *,
    party: str,
    title: str,
    effective: str,
    version: str | None = None,
    models: Sequence[str] = ("*",),
    access_path: str = "api",
    language: str = "en",
    facts: Mapping[str, Any] | None = None,
) -> Recorded:
    """Archive `text` and put it on record as a document of `party`, in force from the day `effective`.

    `models` are patterns (`*` for any run of characters) over model names and `model@version`.
    """
    if not text:
        raise InvalidInput("terms: expected a text, found an empty file")
    given = dict(facts or {})
    until = given.pop("effective_to", None)
    if until is not None and str(until) <= effective:
        raise InvalidInput(f"terms: expected an end after the day they come into force, {effective}, found {until}")
    scope = AppliesTo(models=tuple(models), access_path=word(AccessPath, access_path, "access path"))
    fixed = {
        "party": registry.resolve(party, "party"),
        "title": title,
        "version": version or effective,
        "applies_to": (scope,),
        "text": f"sha256:{registry.place.objects.put_bytes(text)}",
        "language": language,
        "effective": Effective(from_=effective, to=known(str(until)) if until else unknown()),
        "retrieved": now(),
    }
    body = fill(Terms, given, fixed=fixed, where="terms", resolve=_resolver(registry))
    _expect_no_overlap(registry, body)
    return registry.record("terms", body, Role.COMPLIANCE)


def add_student(registry: OpenRegistry, name: str, initialised_from: Sequence[str], facts: Mapping[str, Any]) -> Recorded:
    """Put the student `name@version` on record; `initialised_from` names models whose weights it starts from."""
    label, _, version = name.partition("@")
    origins = []
    for item in initialised_from:
        model, _, relation = item.rpartition(":")
        if relation not in set(Relation):
            model, relation = item, Relation.FINETUNE
        fixed = {"model": registry.resolve(model, "teacher", "student"), "relation": relation}
        origins.append(fill(InitialisedFrom, {}, fixed=fixed, where="initialised_from", resolve=_resolver(registry)))
    named: dict[str, Any] = {"id": label, "version": version or "1", "initialised_from": tuple(origins)}
    body = fill(Student, facts, fixed=named, where="student", resolve=_resolver(registry))
    return registry.record("student", body, Role.TRAINER)


def release(
    registry: OpenRegistry,
    student: str,
    weights: bytes | Path,
    *,
    runs: Sequence[str] = (),
    channels: Sequence[str] = (),
    released: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Recorded:
    """Put a release on record: the digest of its weights, and the runs it came from (all closed ones unless given).

    `weights` are bytes or a file of them; they are hashed, not kept.
    """
    ref = registry.resolve(student, "student")
    digest = f"sha256:{_sha256(weights)}"
    wanted = [registry.resolve(run, "run") for run in runs]
    if not wanted:
        wanted = [run.ref for run in registry.every(ListedRun, student=ref) if run.outcome is not None]
    given = dict(facts or {})
    actual = fill(ReleasePlan, given.pop("actual", {}), fixed={}, where="actual", resolve=_resolver(registry))
    policy, obligations = policy_of(registry, ref, actual)
    fixed = {
        "student": ref,
        "weights": digest,
        "runs": tuple(ReleasedRun(run=run, checkpoint=digest) for run in wanted),
        "merged_from": (),
        "released": released or now(),
        "actual": actual,
        "channels": tuple(channels),
        "modalities": (Modality.TEXT,),
        "policy": policy,
        "obligations": obligations,
    }
    return registry.record(
        "release", fill(Release, given, fixed=fixed, where="release", resolve=_resolver(registry)), Role.TRAINER
    )


def _expect_no_overlap(registry: OpenRegistry, body: Terms) -> None:
    """Raise Conflict where a new version would be in force at once with one that is on record."""
    same = [each.ref for each in registry.every(ListedTerms, party=body.party) if each.name.rpartition("@")[0] == body.title]
    every = registry.place.terms.timeline(same[0]).versions if same else ()
    there = [
        Document(each.ref, body.party, body.title, each.version, each.starts, each.ends, each.stated_end, (), each.text)
        for each in every
    ]
    ends = body.effective.to.value_or("") or None
    new = Document("", body.party, body.title, body.version, body.effective.from_, ends, ends is not None, (), body.text)
    for one, other in overlaps([*there, new]):
        if not (one.ref and other.ref):
            raise Conflict(
                f"terms {new.name}: expected a version that is not in force at once with another, "
                f"found {one.name} from {one.starts} until {one.ends or 'open'}, {other.name} from {other.starts}",
                hint="--effective DATE and --until DATE, or another --title",
            )


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    try:
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise NotFound(f"expected a file of weights, found nothing at {content}") from None
    except OSError as error:
        raise InvalidInput(f"expected a file of weights, found {content}: {error.strerror}") from None


def _party(registry: OpenRegistry, name: str, create: bool) -> str:
    try:
        return registry.resolve(name, "party")
    except NotFound:
        if not create:
            raise NotFound(
                f"no party is called {name!r}", hint=f"inbond party add {quote(name)}   (or repeat with --create)"
            ) from None
    if not registry.keys.has(Role.COMPLIANCE):
        raise NotPermitted(
            f"no party is called {name!r}, and to put one on record is compliance's: expected its key here, found none",
            hint=f"where compliance's key is: inbond party add {quote(name)}\nthen repeat this command",
        )
    body = fill(Party, {}, fixed={"aliases": (name,)}, where="party", resolve=_resolver(registry))
    said = Said("party", body, [registry.keys.role(Role.COMPLIANCE)], id=_id_of(registry, "party", name))
    try:
        return registry.recorder.record(said).ref
    except Conflict:  # somebody says it at the same time
        return registry.resolve(name, "party")


def _resolver(registry: OpenRegistry) -> Any:
    return lambda _path, text: registry.resolve(text)
