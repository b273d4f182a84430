"""Witnesses: witness serve (be one), witness status (ask ours), witness key (make a key that cosigns)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.output import pairs, plural, short, style, table, when
from inbond.schemas.errors import InvalidInput

if TYPE_CHECKING:
    from inbond.ledger.loglist import KnownLog
    from inbond.ledger.policy import TrustPolicy
    from inbond.ledger.witnessing import Witnessing, WitnessStatus

FILE = click.Path(path_type=Path, dir_okay=False)
witness = noun("witness", "Witnesses: who else has seen the log, and being one for others.", "inbond witness status")


@command("serve", "inbond witness serve --state w.db --key w.key --logs logs.txt", of=witness)
@click.option("--state", required=True, type=FILE, metavar="FILE", help="What it has cosigned. Never restore it from a backup.")
@click.option("--key", "keys", required=True, multiple=True, type=FILE, metavar="FILE", help="A key that cosigns; repeatable.")
@click.option("--policy", type=FILE, metavar="FILE", help="The logs that it knows, as a trust policy (tlog-policy).")
@click.option("--logs", type=FILE, metavar="FILE", help="The logs that it knows, as a list (tlog-list).")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7380, show_default=True, metavar="PORT", help="0: any that is free."
)
@click.option("--new", is_flag=True, help="Make the state, for keys that have never cosigned.")
def serve(
    session: Session, state: Path, keys: tuple[Path, ...], policy: Path | None, logs: Path | None, host: str, port: int, new: bool
) -> None:
    """Be a witness for other people's logs (tlog-witness) until it is told to stop.

    It cosigns what it has seen to extend what it cosigned before, and keeps that on disk before it answers.
    """
    import logging

    from inbond.api import witness as server
    from inbond.ledger.cosigner import read_cosigner
    from inbond.ledger.cosigning import Witness
    from inbond.ledger.witness_state import WitnessState

    known, cosigners = _known(policy, logs), [read_cosigner(path) for path in keys]
    vkeys = [each.verifier.format() for each in cosigners]
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    kept = WitnessState.create(state) if new else WitnessState.open(state)

    def tell(address: str) -> None:
        session.output.answer({"address": address, "vkeys": vkeys}, [f"listening on {address}"])

    try:
        made = Witness(kept, cosigners, known)
        for vkey in vkeys:
            session.output.say(vkey)
        session.output.say(f"{plural(len(known), 'log')} known, {plural(len(kept.all()), 'log')} cosigned so far")
        server.serve(made, host, port, tell)
    finally:
        kept.close()


@command("status", "inbond witness status\ninbond witness status --state witness.db", of=witness)
@click.option("--state", type=FILE, metavar="FILE", help="Show what a witness of yours has cosigned, instead.")
@click.option("--no-ask", is_flag=True, help="Only show what is known.")
@click.option(
    "--wait", type=click.FloatRange(0, 600), default=30.0, show_default=True, metavar="SECONDS", help="For their answers."
)
@click.pass_context
def status(context: click.Context, session: Session, state: Path | None, no_ask: bool, wait: float) -> None:
    """Ask the witnesses in policy.txt to cosign the newest head, and show who has.

    Leaves with 6 while the policy's quorum is not met, with 3 where a witness holds another history of this log.
    """
    if state is not None:
        context.exit(_own_state(session, state))
    from inbond.ledger.policy import TrustPolicy
    from inbond.ledger.witnessing import Witnessing

    with session.open() as registry:
        policy = TrustPolicy.parse(registry.policy_text)
        asking = Witnessing(registry.log, policy.witnesses, registry.folder)
        try:
            if asking.endpoints and not no_ask:
                session.output.say(f"asking {plural(len(asking.endpoints), 'witness', 'witnesses')}")
                asking.cosign_now(wait=wait)
            context.exit(_show(session, asking, policy, registry.log))
        finally:
            asking.stop()


@command("key", "inbond witness key witness.key --name witness.example/one", of=witness)
@click.argument("file", type=FILE)
@click.option("--name", required=True, metavar="NAME", help="Its name in checkpoints: an address without scheme, for ever.")
@click.option(
    "--kind", type=click.Choice(["ed25519", "ml-dsa-44"]), default="ed25519", show_default=True, help="What it signs with."
)
def key(session: Session, file: Path, name: str, kind: str) -> None:
    """Make a key that cosigns, and nothing else.

    Prints the verifier key, which goes into trust policies.
    """
    from inbond.ledger.cosigner import KINDS, Cosigner, write_cosigner

    made = Cosigner.generate(name, KINDS[kind])
    write_cosigner(file, made)
    session.output.answer({"file": str(file), "vkey": made.verifier.format()}, [made.verifier.format()])
    session.output.say(f"its secret is in {file}; in a policy: witness NAME VKEY https://…")


def _known(policy: Path | None, logs: Path | None) -> "list[KnownLog]":
    from inbond.ledger import loglist
    from inbond.ledger.policy import TrustPolicy

    if (policy is None) == (logs is None):
        raise InvalidInput("witness serve: expected one of --policy and --logs, which say what logs it knows")
    if policy is not None:
        return loglist.logs_of(TrustPolicy.parse(policy.read_bytes()))
    assert logs is not None
    return loglist.parse(logs.read_bytes())


def _own_state(session: Session, path: Path) -> int:
    """Show a witness's own state; 3 where a log has contradicted itself."""
    from inbond.ledger.witness_state import WitnessState

    state = WitnessState.open(path)
    try:
        latest, found = state.all(), state.contradictions()
    finally:
        state.close()
    data = {
        "logs": [{"origin": e.origin, "size": e.size, "root": e.root.hex(), "time": _moment(e.time)} for e in latest],
        "contradictions": [
            {"origin": e.origin, "size": e.size, "time": _moment(e.time), "notes": [e.cosigned.decode(), e.note.decode()]}
            for e in found
        ],
    }
    rows = [(each.origin, each.size, short(each.root.hex()), when(_moment(each.time))) for each in latest]
    lines = table(("log", "size", "root", "cosigned"), rows, empty="nothing cosigned yet")
    lines += [style(f"two histories of {each.origin} at size {each.size}: --json shows both notes", "red") for each in found]
    session.output.answer(data, lines)
    return 3 if found else 0


def _show(session: Session, asking: "Witnessing", policy: "TrustPolicy", log: Any) -> int:
    """Show how things stand; the exit code."""
    from inbond.ledger import checkpoints, notes
    from inbond.ledger.policy import NO_QUORUM

    found = asking.status()
    with log.reading() as reader:
        size = reader.size
        note = asking.kept.accepted(reader, policy)
    accepted = None if note is None else checkpoints.parse(notes.parse(note).text).size
    data = {
        "origin": log.origin,
        "size": size,
        "quorum": policy.quorum,
        "accepted": accepted,
        "witnesses": [_row(each) for each in found],
    }
    rows = [(e.name, e.size, when(_moment(e.time)) if e.time else None, e.problem or "", e.url) for e in found]
    lines = pairs([("log", log.origin), ("size", size), ("quorum", _quorum(policy.quorum, accepted))])
    heads = ("witness", "cosigned", "at", "problem", "address")
    lines += ["", *table(heads, rows, empty="policy.txt names no witness with an address: witness NAME VKEY https://…")]
    session.output.answer(data, lines)
    if any(each.evidence is not None for each in found):
        return 3
    return 0 if accepted == size or policy.quorum == NO_QUORUM else 6


def _quorum(name: str, accepted: int | None) -> str:
    from inbond.ledger.policy import NO_QUORUM

    if name == NO_QUORUM:
        return "none wanted"
    return f"{name}: not met yet" if accepted is None else f"{name}: met at size {accepted:,}"


def _row(each: "WitnessStatus") -> dict[str, Any]:
    evidence = None if each.evidence is None else each.evidence.decode(errors="backslashreplace")
    times = {"time": _moment(each.time), "asked": _moment(each.asked), "next": _moment(each.next)}
    whole = {"name": each.name, "url": each.url, "size": each.size, "problem": each.problem, "evidence": evidence}
    return whole | {name: value or None for name, value in times.items()}


def _moment(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z") if seconds else ""


COMMANDS = (witness,)
