"""Making a report: the model, its page, what ties them to the ledger, and the statement that compliance signs."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET

from inbond.ledger.files import write_durably
from inbond.registry.disclosure.document import Disclosure, decode
from inbond.registry.disclosure.rendering import MEDIA, html, renderer_digest
from inbond.registry.listing import ListedRelease
from inbond.registry.lists import ReportOptions
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.schemas import canonical
from inbond.schemas.declared import not_applicable
from inbond.schemas.errors import Conflict, InvalidInput, VerificationError
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Rendering, Report, Seen

MODEL, PAGE, RECEIPT = "report.json", "report.html", "report.tlog-proof"
_SALT = 32


@dataclass(frozen=True)
class Made:
    """A report that was made: its statement on record, what it says, and the files that were written."""

    recorded: Recorded
    report: Disclosure
    files: tuple[Path, ...]


def model_of(registry: OpenRegistry, student: str, template: str, profile: str, as_of: int | None) -> bytes:
    """The model of a report, at a size that was seen; nothing is recorded."""
    who = registry.resolve(student, "student", size=as_of)
    head = registry.place.head()
    size = int(head.size) if as_of is None else as_of
    model = registry.place.report_model(who, template, {"profile": profile}, size)
    _check_head(registry, decode(model), who, template, size, head)
    return model


def _check_head(registry: OpenRegistry, report: Disclosure, student: str, template: str, size: int, head: Seen) -> None:
    """What a server answers is about what was asked, and about the log whose head was verified."""
    asked = (registry.origin, student, template, size)
    found = (report.origin, report.student.ref, report.template.id, report.tree_size)
    if asked != found:
        raise VerificationError(f"report model: expected one of {asked}, found one of {found}")
    if size == head.size and report.root != head.root:
        raise VerificationError(f"report model: expected root {head.root} at size {size}, found {report.root}")


def make(
    registry: OpenRegistry, student: str, template: str, folder: Path, *, profile: str = "public", as_of: int | None = None
) -> Made:
    """Make a report, put it on record with the compliance key of the student's party, and write its files to `folder`.

    Raises Conflict where the folder holds a report already, or where one was made meanwhile from a later size.
    """
    for name in (MODEL, PAGE, RECEIPT):
        if (folder / name).exists():
            raise Conflict(f"{folder / name} exists: expected a folder without a report", hint="--out another folder")
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder}: expected a folder, found a file")
    model = model_of(registry, student, template, profile, as_of)
    report = decode(model)
    key = registry.owner_key(report.student.ref, Role.COMPLIANCE)
    body = _body(registry, model, report, registry.recorder.party_of(key))
    page = html(model)
    folder.mkdir(parents=True, exist_ok=True)
    recorded = registry.record("report", body, key)
    written = {MODEL: model, PAGE: page, RECEIPT: registry.place.receipt(recorded.seq).to_bytes()}
    for name, data in written.items():
        write_durably(folder / name, data)
    return Made(recorded, report, tuple(folder / name for name in written))


def _body(registry: OpenRegistry, model: bytes, report: Disclosure, party: str) -> Report:
    """The statement, once everything that it names is in the store."""
    objects = registry.place.objects
    options = ReportOptions(student=report.student.ref, template=report.template.id, profile=report.profile.value)
    salts = {id: secrets.token_bytes(_SALT) for id in report.fields()}
    kept = objects.put_bytes(canonical.encode({"of": digest(model), "salts": {id: salt.hex() for id, salt in salts.items()}}))
    released = [each.ref for each in registry.every(ListedRelease, student=report.student.ref) if each.entry < report.tree_size]
    return Report(
        releases=tuple(released),
        template=report.template,
        profile=report.profile,
        recipient=not_applicable(),
        tree_size=report.tree_size,
        renderer=renderer_digest(),
        options=f"sha256:{objects.put_bytes(canonical.encode(options))}",
        model=f"sha256:{objects.put_bytes(model)}",
        commitments=f"sha256:{objects.put_bytes(canonical.encode(commitments(model, report, salts)))}",
        salts_custody=f"sha256:{kept}",  # an object of the store, which leaves it in no bundle
        renderings=(Rendering(media=MEDIA, digest=f"sha256:{objects.put_bytes(html(model))}"),),
        gaps=objects.put_lines(report.gaps),
        approved_by=party,
        supersedes=report.earlier[-1].ref if report.earlier else UNSET,
    )


def commitments(model: bytes, report: Disclosure, salts: Mapping[str, bytes]) -> dict[str, object]:
    """A salted commitment to each field: with its salt one field can be shown to be the report's without the others."""
    fields = {
        id: f"sha256:{hashlib.sha256(salts[id] + canonical.encode(field)).hexdigest()}" for id, field in report.fields().items()
    }
    return {"of": digest(model), "fields": fields}


def digest(data: bytes) -> str:
    """`sha256:` and hex."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
