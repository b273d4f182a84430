"""What the ledger asks of whoever knows the subject: three questions, the same for a write, an audit and a rebuild."""

from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Table

from inbond.ledger.keys import PublicKey
from inbond.schemas.entry import Envelope
from inbond.schemas.statement import Statement


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signed a statement, with what it may do at that place in the log. `party` is a reference."""

    keyid: str
    public: PublicKey
    party: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement that is about to stand (or, in an audit, stands) at `seq`, its signatures checked."""

    seq: int
    time: str
    statement: Statement
    envelope: Envelope
    signers: tuple[Signer, ...]

    @property
    def kind(self) -> str:
        """The statement's kind."""
        return self.statement.kind

    @property
    def body(self) -> Any:
        """The statement's body, a struct of inbond.schemas.statements."""
        return self.statement.body

    @property
    def ref(self) -> str:
        """The reference of what this statement makes: `<kind>:<header id>`."""
        return f"{self.statement.kind}:{self.statement.header.id}"


@dataclass(frozen=True, slots=True)
class Plain:
    """How an audit may shorten rules that ask of most statements who signed them, and nothing else.

    With `roles` one signer needs a role of the kind (`schemas.kinds`). Statements of `kinds`, genesis and key statements, and
    those signed by a key of `key_at` are put to the rules all the same.
    """

    kinds: frozenset[str]
    roles: bool


class Rules(Protocol):
    """The three callbacks.

    A class may say in `plain` how an audit can do with fewer calls; None, or no such attribute, says that it cannot.
    """

    tables: list[Table]
    """The tables that `project` writes, all of them; made with the log, dropped and made again by a rebuild."""

    def admit(self, connection: Connection, draft: Draft) -> None:
        """Raise an InbondError unless `draft` may stand at its place. Reads only."""

    def project(self, connection: Connection, draft: Draft) -> None:
        """Write the rows that follow from `draft`, and nothing else: a function of the entries so far."""

    def key_at(self, connection: Connection, statement: Statement, keyid: str) -> Signer | None:
        """A signer that no `key` statement enrolled, such as a run's own key, where `statement` may carry it."""


_NOTHING: list[Table] = []


class NoRules:
    """A log for anything: every statement with a known signer may stand, nothing is projected."""

    tables: list[Table] = _NOTHING
    plain = Plain(frozenset(), roles=False)

    def admit(self, connection: Connection, draft: Draft) -> None:
        """Anything may stand."""

    def project(self, connection: Connection, draft: Draft) -> None:
        """Nothing follows."""

    def key_at(self, connection: Connection, statement: Statement, keyid: str) -> Signer | None:
        """No other keys."""
        return None
