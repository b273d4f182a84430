"""`inbond log audit`: this registry's log, an exported one in a folder, or one that is served at an address."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.home import maybe_home
from inbond.api.cli.output import pairs
from inbond.api.cli.progress import counting, progress
from inbond.api.cli.verdicts import EXIT, verdict_lines
from inbond.schemas.errors import InvalidInput, VerificationError

if TYPE_CHECKING:
    from inbond.ledger.audit import AuditReport, Options
    from inbond.ledger.policy import TrustPolicy
    from inbond.ledger.published import FolderFiles


@command("audit", "inbond log audit\ninbond log audit exported-log --genesis HASH\ninbond log audit https://registry.example.org")
@click.argument("source", required=False, metavar="[DIR_OR_URL]")
@click.option("--genesis", metavar="HASH", help="Leaf hash of entry 0 to expect (or INBOND_GENESIS; a registry knows its own).")
@click.option(
    "--policy", type=click.Path(path_type=Path), metavar="FILE", help="Whose cosignatures to expect (or INBOND_POLICY)."
)
@click.option("--from-start", is_flag=True, help="Forget what earlier audits have verified.")
@click.option("--log-only", is_flag=True, help="Leave the catalogue out.")
@click.option("--no-signatures", is_flag=True, help="Leave out the signatures of statements.")
@click.pass_context
def audit(
    context: click.Context,
    session: Session,
    source: str | None,
    genesis: str | None,
    policy: Path | None,
    from_start: bool,
    log_only: bool,
    no_signatures: bool,
) -> None:
    """Replay a whole log, and compare all that is kept of it.

    This registry's log, an exported one in a folder, or one at an address (INBOND_TOKEN where entries are for auditors).
    It goes on from where the last audit ended: signatures that were verified are not checked again.
    Leaves with 3 and the first difference, with 6 when something could not be checked.
    """
    from inbond.ledger.audit import Memory, Options

    home = maybe_home(session.registry)
    if source is None and isinstance(home, str):
        source = home
    with progress(session.output) as tell:
        options = Options(
            signatures=not no_signatures,
            memory=Memory(anew=from_start),
            progress=counting(tell, "replaying the log"),
        )
        if source is None:
            report = _audit_registry(session, genesis, options, log_only)
        else:
            options = replace(options, genesis=_pin(genesis), policy=_policy(policy))
            report = _audit_files(context, source, home, options, log_only)
    data = {**asdict(report), "verdict": report.verdict}
    lines = [
        ("log", report.origin),
        ("entries", report.size),
        ("audited before", report.resumed or None),
        ("signatures", report.signatures),
        ("checkpoints", report.checkpoints),
        ("tables", report.tables or None),
        ("note", report.notes or None),
    ]
    problems = [report.problem] if report.problem else []
    session.output.answer(data, [*pairs(lines), *verdict_lines(report.verdict, problems, report.unchecked)])
    context.exit(EXIT[report.verdict])


def _audit_registry(session: Session, genesis: str | None, options: "Options", log_only: bool) -> "AuditReport":
    with session.open() as registry:
        if genesis is not None and registry.place.genesis != _pin(genesis):
            ours = registry.place.genesis.hex()
            raise InvalidInput(f"--genesis: expected {ours}, which is this registry's, found {genesis}")
        return registry.audit(options=options, catalogue=not log_only)


def _audit_files(
    context: click.Context, source: str, home: str | Path | None, options: "Options", log_only: bool
) -> "AuditReport":
    from inbond.ledger.audit import audit_files
    from inbond.ledger.fetching import AddressFiles
    from inbond.ledger.notes import MAX_NOTE
    from inbond.ledger.published import FileSource, FolderFiles
    from inbond.registry.places.environment import token_at_hand
    from inbond.registry.registry import Registry
    from inbond.registry.rules import RegistryRules
    from inbond.registry.signers import SignerRules

    if source.startswith(("http://", "https://")):
        with AddressFiles(source, token_at_hand()) as there:
            if there.read("checkpoint", MAX_NOTE) is None:
                there.under("ledger")  # the address of a registry, not of its log
            report = audit_files(FileSource(there), SignerRules(), options)
    else:
        folder = click.Path(exists=True, file_okay=False, path_type=Path).convert(source, None, context)
        files = FolderFiles(folder if (folder / "checkpoint").is_file() or not (folder / "log").is_dir() else folder / "log")
        if isinstance(home, Path):
            with Registry.open(home) as registry:
                if _origin_of(files) == registry.origin:
                    options = replace(options, genesis=options.genesis or registry.place.genesis)
                    if not log_only:
                        return audit_files(FileSource(files), RegistryRules(registry.store), options)
        report = audit_files(FileSource(files), SignerRules(), options)
    report.notes.append("left out: the registry's own rules (ownership, existence, policy), which need its objects")
    return report


def _origin_of(files: "FolderFiles") -> str | None:
    from inbond.ledger import checkpoints, notes

    note = files.read("checkpoint", notes.MAX_NOTE)
    try:
        return None if note is None else checkpoints.parse(notes.parse(note).text).origin
    except VerificationError:
        return None


def _pin(genesis: str | None) -> bytes | None:
    from inbond.registry.places.environment import pin_of

    try:
        return pin_of(genesis)
    except InvalidInput:
        raise InvalidInput(f"--genesis: expected 64 hex digits, found {genesis!r}") from None


def _policy(path: Path | None) -> "TrustPolicy | None":
    from inbond.registry.places.environment import policy_of

    return policy_of(path) if path is not None or os.environ.get("INBOND_POLICY") else None
