"""Who may sign what: roles by kind, and the keys of runs. What an audit can ask of a log without its objects."""

from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Table, insert, select, update

from inbond.ledger import dsse
from inbond.ledger.keys import PublicKey
from inbond.ledger.rules import Draft, Plain, Signer
from inbond.registry import tables as t
from inbond.schemas import canonical
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InvalidInput, NotPermitted
from inbond.schemas.kinds import KINDS, RUN
from inbond.schemas.statement import Statement, digest_of
from inbond.schemas.statements import REQUEST_TYPE, GrantRequest, RunClose, RunOpen


def authorised(draft: Draft) -> Signer:
    """The signer that gives the statement its authority; its party owns what the statement makes.

    Raises NotPermitted when no signer has a role that the kind needs.
    """
    wanted = KINDS[draft.kind].roles_of(draft.body)
    for signer in draft.signers:
        if signer.roles & wanted:
            return signer
    found = sorted({str(role) for signer in draft.signers for role in signer.roles}) or ["no role"]
    raise NotPermitted(
        f"{draft.kind} statement: expected a signature in the role {' or '.join(sorted(map(str, wanted)))}, "
        f"found one as {', '.join(found)}",
        hint="inbond key list shows which key has which role",
    )


_KEPT = [t.runs]


class SignerRules:
    """Rules that need the log alone: roles, and run keys from the statements that open runs."""

    tables: list[Table] = _KEPT
    plain: Plain | None = Plain(frozenset({"run"}), roles=True)

    def admit(self, connection: Connection, draft: Draft) -> None:
        """Raise NotPermitted unless the signatures are those that the kind needs."""
        if draft.kind in ("genesis", "key"):
            return  # the keyring has judged them
        authorised(draft)
        if isinstance(draft.body, RunOpen):
            run_key = PublicKey.from_base64(draft.body.run_key).fingerprint
            signed = [signer for signer in draft.signers if signer.keyid == run_key]
            if not signed:
                raise NotPermitted(f"run statement: expected a signature of its run key {run_key[:16]}, found none")
            if RUN not in signed[0].roles:
                raise InvalidInput(f"run statement: expected a run key of its own, found the enrolled key {run_key[:16]}")
            query = select(t.runs.c.ref).where(t.runs.c.keyid == run_key)
            if connection.execute(query).first() is not None:
                raise InvalidInput(f"run statement: expected a run key of its own, found {run_key[:16]}, which signs another run")

    def project(self, connection: Connection, draft: Draft) -> None:
        """Keep the keys of runs, and when they ended."""
        body = draft.body
        if isinstance(body, RunOpen):
            connection.execute(insert(t.runs), _run_row(draft, body))
        elif isinstance(body, RunClose) and isinstance(draft.statement.header.amends, UnsetType):
            connection.execute(
                update(t.runs).where(t.runs.c.ref == body.run).values(closed=draft.seq, outcome=body.outcome.value)
            )

    def key_at(self, connection: Connection, statement: Statement, keyid: str) -> Signer | None:
        """A run's key: for the statement that opens the run, and for those the run signs until it is closed."""
        body = statement.body
        if isinstance(body, RunOpen):
            public = PublicKey.from_base64(body.run_key)
            return (
                Signer(keyid, public, statement.header.asserted_by.party, frozenset({RUN}))
                if public.fingerprint == keyid
                else None
            )
        run = getattr(body, "run", UNSET)
        if statement.kind != "consume" or run is UNSET:
            return None
        row = connection.execute(select(t.runs).where(t.runs.c.ref == run)).one_or_none()
        if row is None or row.keyid != keyid:
            return None
        if row.closed is not None:
            raise NotPermitted(f"{run} was closed by entry {row.closed}: its key signs nothing any more")
        return Signer(keyid, PublicKey.from_base64(row.public_key), row.owner, frozenset({RUN}))


def requested(envelope: Envelope) -> GrantRequest:
    """The request for a grant inside an envelope whose signature is checked elsewhere."""
    if envelope.payload_type != REQUEST_TYPE:
        raise InvalidInput(f"grant request: expected payload type {REQUEST_TYPE}, found {envelope.payload_type}")
    return canonical.decode(dsse.payload_of(envelope), GrantRequest, what="grant request")


def _run_row(draft: Draft, body: RunOpen) -> dict[str, Any]:
    public = PublicKey.from_base64(body.run_key)
    return {
        "ref": draft.ref,
        "seq": draft.seq,
        "owner": authorised(draft).party,
        "name": body.name,
        "student": body.student,
        "stage": body.stage.value,
        "plan": digest_of(body.plan),
        "keyid": public.fingerprint,
        "public_key": body.run_key,
    }
