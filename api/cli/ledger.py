"""The ledger: log head|show|prove|audit|export, verify, prove-record, rebuild."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.auditing import audit
from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.home import expect_file_or_folder, maybe_home
from inbond.api.cli.output import facts, pairs, plural, when
from inbond.api.cli.progress import counting, progress
from inbond.api.cli.refreshing import refresh
from inbond.api.cli.verdicts import EXIT, verdict_line, verdict_lines
from inbond.api.cli.watching import watch
from inbond.schemas.errors import Conflict, InvalidInput, NotPermitted, StoreError

if TYPE_CHECKING:
    from inbond.ledger.keyring import KeyState
    from inbond.registry.checking import Checked

log = noun("log", "The ledger itself: heads, entries, proofs, audits, exports.", "inbond log head")


@command("head", "inbond log head", of=log)
def head(session: Session) -> None:
    """Show the newest checkpoint: what the log commits to now."""
    from inbond.ledger import checkpoints, notes
    from inbond.ledger.entries import parse_entry

    with session.open() as registry:
        newest = registry.place.receipt(int(registry.place.head().size) - 1)
        genesis = registry.place.genesis.hex()
    head = checkpoints.parse(notes.parse(newest.checkpoint).text)
    time = parse_entry(newest.extra).time if newest.extra else ""
    root, note = head.root.hex(), newest.checkpoint.decode()
    data = {"origin": head.origin, "size": head.size, "root": root, "time": time, "genesis": genesis}
    items = [("log", head.origin), ("size", head.size), ("time", when(time)), ("root", root)]
    lines = pairs([*items, ("genesis", genesis)], whole=True)
    session.output.answer({**data, "checkpoint": note}, lines)


@command("show", "inbond log show 0", of=log)
@click.argument("seq", type=click.IntRange(min=0))
def show(session: Session, seq: int) -> None:
    """Show one entry: what was said, by whom, when.

    Its place in the tree and its signatures are checked first.
    """
    import msgspec

    from inbond.ledger import dsse, merkle
    from inbond.ledger.entries import parse_entry
    from inbond.registry.mentions import references
    from inbond.schemas import statement

    with session.open() as registry:
        data = registry.place.receipt(seq).extra
        if data is None:
            raise NotPermitted(f"entry {seq}: expected one that you may see, found its receipt without it")
        entry = parse_entry(data)
        found = statement.read(dsse.payload_of(entry.dsse))
        registry.place.statement(found.ref)
        keys = {each.keyid: registry.place.key(each.keyid) for each in entry.dsse.signatures}
        parties = [state.party for state in keys.values() if state]
        called = registry.called([*references((found.body, found.header)), *parties])
        signers = [_signer(keyid, state, called) for keyid, state in keys.items()]
    body = msgspec.to_builtins(found.body)
    whole = {
        "entry": seq,
        "kind": entry.kind,
        "ref": found.ref,
        "time": entry.time,
        "leaf": merkle.leaf_hash(data).hex(),
        "prev": entry.prev,
        "signers": signers,
        "header": msgspec.to_builtins(found.header),
        "body": body,
    }
    by = [f"{each['key'][:12]} ({', '.join(each['roles'])} of {each['party']})" for each in signers]
    lines = pairs([("entry", seq), ("kind", entry.kind), ("ref", found.ref), ("time", when(entry.time)), ("signed by", by)])
    session.output.answer(whole, [*lines, "", *facts(body, called)])


@command("prove", "inbond log prove 12 --out 12.tlog-proof", of=log)
@click.argument("seq", type=click.IntRange(min=0))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The receipt's file, a new one.")
@click.option("--size", type=click.IntRange(min=1), metavar="N", help="Under the checkpoint of this size (the newest).")
@click.option("--without-entry", is_flag=True, help="Leave the entry's bytes out, as for the public.")
def prove(session: Session, seq: int, out: Path, size: int | None, without_entry: bool) -> None:
    """Write a receipt (tlog-proof) of an entry.

    It shows offline that the entry stands in the log, with the cosignatures that there are by now: `inbond log refresh` fetches
    later ones.
    """
    from inbond.ledger import checkpoints, notes

    with session.open() as registry:
        receipt = registry.place.receipt(seq, size)
        size = checkpoints.parse(notes.parse(receipt.checkpoint).text).size
    if without_entry:
        receipt = replace(receipt, extra=None)
    _write_new(out, receipt.to_bytes())
    data = {"file": str(out), "entry": seq, "size": size}
    session.output.answer(data, [f"{out}: entry {seq} in a log of size {size}"])
    session.output.say("a receipt alone says nothing of later keys; a whole log does: inbond log export DIR --bundle")


log.add_command(audit)
log.add_command(refresh)
log.add_command(watch)


@command("export", "inbond log export published\ninbond log export evidence --bundle", of=log)
@click.argument("dir", type=click.Path(path_type=Path))
@click.option("--bundle", is_flag=True, help="Everything: log, receipts, shards and lists, for an outsider to check.")
@click.option("--public", is_flag=True, help="Without entries: checkpoint and tiles only, for everybody.")
def export(session: Session, dir: Path, bundle: bool, public: bool) -> None:
    """Write the log as static files, or all evidence there is.

    The files are those of tlog-tiles; any web server can serve them.
    A log exported to the same DIR again is brought up to date. Entries are in it, which say what the statements say, unless it is
    --public. Where policy.txt wants a quorum of witnesses, it is exported as far as they have cosigned.
    With --bundle shards leave, so that a delivery of every dataset is recorded in the ledger first.
    """
    from inbond.registry.delivering import export_everything

    if bundle and public:
        raise InvalidInput("export: expected --bundle or --public, found both: a bundle is for somebody, and has the entries")
    with session.open() as registry, progress(session.output) as tell:
        genesis = registry.home.genesis.hex()
        policy = registry.folder / "policy.txt"
        if bundle:
            done = export_everything(registry, dir, tell)
            counts = {"receipts": done.receipts, "shards": done.shards, "objects": done.objects}
            text = ", ".join(plural(count, name.removesuffix("s")) for name, count in counts.items()) + f" in {dir}"
        else:
            files = registry.export_log(dir, counting(tell, "writing"), public=public)
            counts, text = {"files": files}, f"{plural(files, 'file')} in {dir}"
    session.output.answer({"folder": str(dir), "genesis": genesis, **counts}, [text])
    if public:
        return session.output.say(f"an outsider checks it with:\n  inbond log audit {dir} --policy {policy} --genesis {genesis}")
    session.output.say(f"an outsider checks it with:\n  inbond-verify --policy {policy} \\\n    --genesis {genesis} {dir}")


@command("verify", "inbond verify\ninbond verify chat@1\ninbond verify evidence")
@click.argument("what", required=False, metavar="[PATH|REF]")
@click.pass_context
def verify(context: click.Context, session: Session, what: str | None) -> None:
    """Check everything, or one thing, from the bytes up.

    One thing is something on record, or a bundle, a receipt, a record's proof. Leaves with 0 when all is proved, 3 when
    something differs, 6 when something could not be checked.
    """
    path = Path(what) if what is not None else None
    if path is not None and path.exists():
        from inbond.api.cli.proving import verify_path

        expect_file_or_folder(path)
        data, lines, verdict = verify_path(path, maybe_home(session.registry))
        session.output.answer(data, [*lines, verdict_line(verdict)])
        context.exit(EXIT[verdict])
    with session.open() as registry, progress(session.output) as tell:
        checked = registry.verify(what, tell)
        size = int(registry.place.head().size)
    session.output.answer(_checked(checked, size), _checked_lines(checked, size))
    context.exit(EXIT[checked.verdict])


@command(
    "prove-record",
    """inbond prove-record 4f2a90c1d3e5 17 --out record.json
    inbond prove-record 4f2a90c1d3e5 17 --to for-the-author""",
)
@click.argument("shard")
@click.argument("row", type=click.IntRange(min=0))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the proof alone to a new file.")
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="Write it with the receipts it needs to a new folder.")
@click.option("--under", metavar="REF", help="Of a server: the grant or delivery that lets the shard's bytes leave it.")
def prove_record(session: Session, shard: str, row: int, out: Path | None, to: Path | None, under: str | None) -> None:
    """Write a proof that one record is a row of a shard.

    It shows nothing of the other records: not even a guess at a short text can be compared with what stands in their place.
    """
    from inbond.registry.proving import write_proof

    if (out is None) == (to is None):
        raise click.UsageError("Expected --out FILE for the proof alone, or --to DIR for outsiders.")
    with session.open() as registry:
        proved = registry.prove_record(shard, row, under=under)
        data: dict[str, Any] = {"file": str(out or to), "shard": proved.shard, "row": row}
        if to is not None:
            data["receipts"] = write_proof(registry, proved, to)
        genesis = registry.place.genesis.hex()
    if out is not None:
        _write_new(out, proved.data)
    session.output.answer(data, [f"{out or to}: row {row} of {proved.shard}"])
    if to is not None:
        session.output.say(
            f"an outsider checks it with:\n  inbond-verify --policy FILE --genesis {genesis} --without-shards {to}"
        )
    else:
        session.output.say(f"check it: inbond verify {out}; for outsiders: --to DIR instead of --out FILE")


@command("rebuild", "inbond rebuild")
def rebuild(session: Session) -> None:
    """Make the catalogue again from the ledger."""
    with session.open() as registry, progress(session.output) as tell:
        count = registry.rebuild(counting(tell, "reading entries"))
    session.output.answer({"entries": count}, [f"catalogue made again from {plural(count, 'entry', 'entries')}"])


def _write_new(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise Conflict(f"{path} exists: expected a new file", hint="give another --out FILE") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None


def _signer(keyid: str, state: "KeyState | None", called: dict[str, str]) -> dict[str, Any]:
    if state is None:
        return {"key": keyid, "roles": ["run"], "party": "the run"}
    return {"key": keyid, "roles": sorted(state.roles), "party": called.get(state.party, state.party)}


def _checked(checked: "Checked", size: int) -> dict[str, Any]:
    return {
        "verdict": checked.verdict,
        "tree_size": size,
        "entries": checked.entries,
        "signatures": checked.signatures,
        "shards": checked.shards,
        "records": checked.records,
        "objects": checked.objects,
        "keys": checked.keys,
        "problems": checked.problems,
        "unchecked": checked.unchecked,
    }


def _checked_lines(checked: "Checked", size: int) -> list[str]:
    names = ("entries", "signatures", "shards", "records", "objects", "keys")
    rows = [(name, getattr(checked, name)) for name in names if getattr(checked, name)]
    lines = pairs(rows)
    lines += verdict_lines(checked.verdict, checked.problems, checked.unchecked)
    return [*lines[:-1], f"{lines[-1]} · computed at ledger size {size}"]


COMMANDS = (verify, prove_record, log, rebuild)
