"""Keys: add, list, revoke."""

from dataclasses import replace

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.details import listed
from inbond.api.cli.output import pairs, short, table

ROLES = ("producer", "trainer", "compliance", "auditor", "provider", "registry")
REASONS = ("compromised", "lost", "superseded", "retired", "other")

key = noun("key", "The keys that sign, and what each may sign.", "inbond key list")


@command("add", "inbond key add --role auditor\ninbond key add --role provider --party openai --name openai", of=key)
@click.option("--role", required=True, type=click.Choice(ROLES), metavar="ROLE", help=f"What it may sign as: {', '.join(ROLES)}.")
@click.option("--party", metavar="PARTY", help="Whose key it is (yours, the operator's, unless given).")
@click.option("--name", metavar="NAME", help="The file's name in keys/ (the role unless given).")
def add(session: Session, role: str, party: str | None, name: str | None) -> None:
    """Make a key and enrol it with the admin key."""
    with session.open() as registry:
        recorded = registry.add_key(role, party, name)
        path = registry.keys.folder / f"{name or role}.key"
        fingerprint = registry.keys.role(name or role).public.fingerprint
    data = {"ref": recorded.ref, "entry": recorded.seq, "role": role, "fingerprint": fingerprint, "file": str(path)}
    session.output.answer(data, [f"{role} key {short(fingerprint)} enrolled in entry {recorded.seq}", *pairs([("file", path)])])


@command("list", "inbond key list", of=key)
def list_keys(session: Session) -> None:
    """List the keys that the log knows."""
    from inbond.registry.listing import ListedKey

    with session.open() as registry:
        at_hand = registry.keys.files()
        found = [replace(item, file=at_hand.get(item.fingerprint)) for item in listed(registry, ListedKey)]
        found.sort(key=lambda item: item.roles == ("log",))
    rows = [(item.fingerprint, item.roles, item.party, item.entry, _state(item.revoked), item.file is not None) for item in found]
    heads = ("key", "roles", "party", "entry", "state", "at hand")
    session.output.answer({"keys": found}, table(heads, rows, empty="no keys"))


@command("revoke", "inbond key revoke 4f2a90c1 --reason compromised --suspect-from 120", of=key)
@click.argument("fingerprint")
@click.option("--reason", required=True, type=click.Choice(REASONS), metavar="WHY", help=f"Why: {', '.join(REASONS)}.")
@click.option("--suspect-from", type=click.IntRange(min=0), metavar="SEQ", help="What it signed from there on is in doubt.")
def revoke(session: Session, fingerprint: str, reason: str, suspect_from: int | None) -> None:
    """Revoke a key, for ever.

    FINGERPRINT is the beginning of it, as in `inbond key list`.
    """
    with session.open() as registry:
        recorded = registry.revoke_key(fingerprint, reason, suspect_from)
    data = {"ref": recorded.ref, "entry": recorded.seq, "fingerprint": fingerprint, "reason": reason}
    session.output.answer(data, [f"key {short(fingerprint)} revoked by entry {recorded.seq} ({reason})"])
    session.output.say("its file was left where it is; a new key of the same role: inbond key add --role ROLE --name NAME")


def _state(revoked: int | None) -> str:
    return "in force" if revoked is None else f"revoked by {revoked}"


COMMANDS = (key,)
