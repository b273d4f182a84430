"""Keys: add, list, revoke, rotate; and sheets that go from admin to admin."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.details import listed
from inbond.api.cli.output import pairs, plural, short, table

if TYPE_CHECKING:
    from inbond.registry.admins import Sheet
    from inbond.registry.listing import ListedKey

ROLES = ("producer", "trainer", "compliance", "auditor", "provider", "registry", "admin")
REASONS = ("compromised", "lost", "superseded", "retired", "other")

key = noun("key", "The keys that sign, and what each may sign.", "inbond key list")
_OUT = click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write a sheet for other admins to sign; record nothing."
)


@command("add", "inbond key add --role auditor\ninbond key add --role provider --party openai --name openai", of=key)
@click.option("--role", required=True, type=click.Choice(ROLES), metavar="ROLE", help=f"What it may sign as: {', '.join(ROLES)}.")
@click.option("--party", metavar="PARTY", help="Whose key it is (yours, the operator's, unless given).")
@click.option("--name", metavar="NAME", help="The file's name in keys/ (the role unless given).")
@_OUT
def add(session: Session, role: str, party: str | None, name: str | None, out: Path | None) -> None:
    """Make a key and enrol it with the admin keys at hand."""
    from inbond.registry import enrolling
    from inbond.registry.admins import write_sheet
    from inbond.schemas.scalars import Role

    with session.open() as registry:
        entry = None
        if out is None:
            entry = registry.add_key(role, party, name)
        else:
            write_sheet(registry, [enrolling.enrolment(registry, Role(role), party, name)], out)
        path = registry.keys.folder / f"{name or role}.key"
        fingerprint = registry.keys.role(name or role).public.fingerprint
    data: dict[str, object] = {"role": role, "fingerprint": fingerprint, "file": str(path)}
    data |= {"ref": entry.ref, "entry": entry.seq} if entry else {"sheet": str(out)}
    where = f"enrolled in entry {entry.seq}" if entry else f"waits for admins in {out}"
    session.output.answer(data, [f"{role} key {short(fingerprint)} {where}", *pairs([("file", path)])])


@command("list", "inbond key list", of=key)
def list_keys(session: Session) -> None:
    """List the keys that the log knows."""
    from inbond.registry.listing import ListedKey

    with session.open() as registry:
        at_hand = registry.keys.files()
        found = [replace(item, file=at_hand.get(item.fingerprint)) for item in listed(registry, ListedKey)]
        found.sort(key=lambda item: item.roles == ("log",))
    rows = [(item.fingerprint, item.roles, item.party, item.entry, _state(item, found), item.file is not None) for item in found]
    heads = ("key", "roles", "party", "entry", "state", "at hand")
    session.output.answer({"keys": found}, table(heads, rows, empty="no keys"))


@command("revoke", "inbond key revoke 4f2a90c1 --reason compromised --suspect-from 120", of=key)
@click.argument("fingerprint")
@click.option("--reason", required=True, type=click.Choice(REASONS), metavar="WHY", help=f"Why: {', '.join(REASONS)}.")
@click.option("--suspect-from", type=click.IntRange(min=0), metavar="SEQ", help="What it signed from there on is in doubt.")
@_OUT
def revoke(session: Session, fingerprint: str, reason: str, suspect_from: int | None, out: Path | None) -> None:
    """Revoke a key, for ever.

    FINGERPRINT is the beginning of it, as in `inbond key list`.
    """
    from inbond.registry import enrolling
    from inbond.registry.admins import write_sheet

    with session.open() as registry:
        if out is not None:
            write_sheet(registry, [enrolling.revocation(registry, fingerprint, reason, suspect_from)], out)
            session.output.answer({"fingerprint": fingerprint, "reason": reason, "sheet": str(out)}, [_WAITS.format(out)])
            return
        recorded = registry.revoke_key(fingerprint, reason, suspect_from)
    data = {"ref": recorded.ref, "entry": recorded.seq, "fingerprint": fingerprint, "reason": reason}
    session.output.answer(data, [f"key {short(fingerprint)} revoked by entry {recorded.seq} ({reason})"])
    session.output.say("its file was left where it is; a new key of the same role: inbond key add --role ROLE --name NAME")


@command("rotate", "inbond key rotate log\ninbond key rotate log --revoke compromised --suspect-from 120", of=key)
@click.argument("role", type=click.Choice(["log"]), metavar="log")
@click.option(
    "--kind", type=click.Choice(["ed25519", "ml-dsa-44"]), default="ed25519", show_default=True, help="Which of the log's keys."
)
@click.option("--revoke", type=click.Choice(REASONS), metavar="WHY", help=f"Also end the old one: {', '.join(REASONS)}.")
@click.option("--suspect-from", type=click.IntRange(min=0), metavar="SIZE", help="Checkpoints beyond it may be somebody else's.")
@_OUT
def rotate(session: Session, role: str, kind: str, revoke: str | None, suspect_from: int | None, out: Path | None) -> None:
    """Make a new key that signs the log's checkpoints from now on.

    The next checkpoint carries the signatures of both; after it the old key alone is refused. With --revoke the old key does
    not sign again, which is what to do where it was lost or stolen. Publish policy.txt again, and restart what serves the log.
    """
    if suspect_from is not None and revoke is None:
        raise click.UsageError("--suspect-from needs --revoke WHY")
    with session.open() as registry:
        done = registry.rotate_log_key(kind, reason=revoke, suspect_from=suspect_from, out=out)
        policy = registry.folder / "policy.txt"
    new, before = f"{done.key.name}+{done.key.key_id.hex()}", [f"{key.name}+{key.key_id.hex()}" for key in done.before]
    data = {"kind": kind, "vkey": done.key.format(), "before": [key.format() for key in done.before], "policy": done.policy}
    if out is not None:
        session.output.answer(data | {"sheet": str(out)}, [f"log key {new} waits to take over", _WAITS.format(out)])
        return
    how = f"entry {done.recorded[0].seq}" if done.recorded else "the rotation that was interrupted"
    lines = pairs([("log key", new), ("before", before or "none"), ("since", how)], whole=True)
    session.output.answer(data | {"entries": [each.seq for each in done.recorded]}, lines)
    if done.policy:
        session.output.say(f"{policy} has changed: publish it again")
    session.output.say("restart what serves or writes this registry: it does not have the new key")


@command("sign", "inbond key sign new-auditor.sheet\ninbond key sign new-auditor.sheet --key /media/usb/admin.key", of=key)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", "key_file", type=click.Path(path_type=Path), metavar="FILE", help="Your admin key (else those in keys/).")
def sign(session: Session, file: Path, key_file: Path | None) -> None:
    """Sign a sheet as an admin; nothing is recorded.

    FILE is a sheet that another admin wrote with --out. What it says is shown. Only the key is needed, no registry.
    """
    from inbond.api.cli.home import find_folder
    from inbond.ledger.keys import read_key
    from inbond.registry.admins import Sheet
    from inbond.schemas.errors import NotPermitted

    sheet = Sheet.read(file)
    paths = [key_file] if key_file else sorted((find_folder(session.registry) / "keys").glob("admin*.key"))
    if not paths:
        raise NotPermitted(f"{file}: expected an admin key to sign with, found none", hint="inbond key sign FILE --key admin.key")
    signed = sheet.signed([read_key(path) for path in paths])
    signed.write(file, new=False)
    count = len(signed.signers())
    data = {"sheet": str(file), "says": _says(signed), "signers": sorted(signed.signers())}
    session.output.answer(data, [*_says(signed), f"{plural(count, 'signature')} on it"])
    session.output.say(f"when enough admins have signed: inbond key record {file}")


@command("record", "inbond key record new-auditor.sheet", of=key)
@click.argument("file", type=click.Path(path_type=Path))
def record(session: Session, file: Path) -> None:
    """Put a sheet on record that enough admins have signed."""
    from inbond.registry.admins import Sheet
    from inbond.registry.rotating import record_sheet

    says = _says(Sheet.read(file))
    with session.open() as registry:
        recorded = record_sheet(registry, file)
    data = {"refs": [each.ref for each in recorded], "entries": [each.seq for each in recorded], "says": says}
    session.output.answer(data, [f"{text}: entry {each.seq}" for text, each in zip(says, recorded, strict=True)])


_WAITS = "not recorded; each admin: inbond key sign {0}      then, here: inbond key record {0}"


def _says(sheet: "Sheet") -> list[str]:
    """What a sheet says, a line for each statement."""
    from msgspec import UNSET

    found = []
    for statement in sheet.statements:
        body, registry = statement.body, statement.header.registry
        what = f"{', '.join(body.roles)} key {short(body.fingerprint)} of {registry}, for {body.party}"
        found.append(f"enrol {what}" if body.revocation is UNSET else f"revoke {what} ({body.revocation.reason.value})")
    return found


def _state(item: "ListedKey", all: "list[ListedKey]") -> str:
    if item.revoked is not None:
        return f"revoked by {item.revoked}"
    after = [each.entry for each in all if each.roles == item.roles and len(each.public_key) == len(item.public_key)]
    later = min((entry for entry in after if entry > item.entry), default=None)
    return "in force" if item.roles != ("log",) or later is None else f"replaced by {later}"


COMMANDS = (key,)
