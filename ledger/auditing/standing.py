"""May each statement stand where it stands? Keys and roles at that place, and whatever the rules ask, in order.

Most statements of a log are signed by keys that genesis or a `key` statement enrolled. Where the rules are `plain`, the
statements of a chunk that have the same signers are judged together; all others, and under other rules all, one by one:
signers as of their place, the keyring's and the rules' admission, the rows that follow.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from inbond.ledger import dsse, tables
from inbond.ledger.auditing.examining import Examined, Group
from inbond.ledger.database import create_tables
from inbond.ledger.keyring import Keyring
from inbond.ledger.keys import PublicKey
from inbond.ledger.logkeys import LogKeys
from inbond.ledger.pending import settle
from inbond.ledger.replay import draft_again, resolve_signer
from inbond.ledger.rules import Plain, Rules
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, VerificationError
from inbond.schemas.statements import Genesis

_KEYED = frozenset({"genesis", "key"})


@contextmanager
def scratch(rules: Rules) -> Iterator[Connection]:
    """A database for what `rules` project, in a file that has no name and is gone afterwards."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536", "foreign_keys=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if rules.tables:
            create_tables(connection, [*tables.TABLES, *rules.tables])
        connection.exec_driver_sql("BEGIN")
        try:
            yield connection
        finally:
            connection.exec_driver_sql("COMMIT")  # without a journal there is no way back


class Standing:
    """The keys and the rules' rows as they are after the entries that were judged."""

    def __init__(self, rules: Rules, connection: Connection, origin: str, executor: Executor) -> None:
        self.keyring = Keyring(origin=origin)
        self.signed: set[str] = set()
        self._rules, self._connection, self._executor = rules, connection, executor
        self._plain: Plain | None = getattr(rules, "plain", None)
        self._others: dict[str, PublicKey] = {}

    @property
    def asks_all(self) -> bool:
        """Whether the rules have to be asked about every statement."""
        return self._plain is None

    @property
    def log_keys(self) -> LogKeys:
        """The keys that sign checkpoints."""
        return self.keyring.log

    def recall(self, keyring: Keyring, signed: set[str]) -> None:
        """Take over the keys as an earlier audit has left them."""
        self.keyring, self.signed = keyring, signed

    def judge(self, entries: Sequence[bytes], examined: Examined) -> None:
        """Judge the entries of a chunk, which follow those judged before; raises VerificationError for the first that may not."""
        self._others = {}
        self._check_unseen(examined)
        for index in self._to_ask(examined):
            self._ask(examined.first + index, entries[index])
        settle(self._connection)
        self._verify(entries, examined)

    def _to_ask(self, examined: Examined) -> Sequence[int]:
        """The indices of statements that cannot be judged by their group."""
        if self._plain is None or any(group.kind in _KEYED for group in examined.groups):
            return range(examined.count)  # a key statement changes what holds for those after it
        ask = [group.at for group in examined.groups if not self._is_plain(group, self._plain)]
        return sorted(index for at in ask for index in at)

    def _is_plain(self, group: Group, plain: Plain) -> bool:
        roles: set[str] = set()
        for keyid in group.keyids:
            state = self.keyring.keys.get(keyid)
            if state is None or state.revoked is not None or state.not_after is not None:
                return False
            roles |= state.roles
        return group.kind not in plain.kinds and (not plain.roles or not roles.isdisjoint(group.roles))

    def _ask(self, seq: int, data: bytes) -> None:
        draft = draft_again(data)
        keyring = Keyring(origin=self.keyring.origin) if isinstance(draft.body, Genesis) else self.keyring
        try:
            signers = [
                resolve_signer(self._connection, self._rules, keyring, draft.statement, signature.keyid, draft.time)
                for signature in draft.envelope.signatures
            ]
            draft = replace(draft, signers=tuple(signers))
            keyring.admit(draft)
            self._rules.admit(self._connection, draft)
            self._others |= {signer.keyid: signer.public for signer in signers}
            if draft.kind in _KEYED:
                self.keyring.apply(draft)
            self._rules.project(self._connection, draft)
        except InbondError as error:
            raise VerificationError(f"entry {seq} cannot stand in this log: {error.message}") from error

    def _check_unseen(self, examined: Examined) -> None:
        """Only genesis and the first statement of a key may leave out what their signers have seen."""
        for index in examined.unseen:
            by = next(group for group in examined.groups if index in group.at)
            before = {keyid for group in examined.groups if group.at[0] < index for keyid in group.keyids}
            if by.kind != "genesis" and all(keyid in self.signed or keyid in before for keyid in by.keyids):
                raise VerificationError(
                    f"entry {examined.first + index}: header.seen: expected the size and root that the signer knew, found null; "
                    "only genesis and a key's first statement may leave it out"
                )
        for group in examined.groups:
            self.signed.update(group.keyids)

    def _verify(self, entries: Sequence[bytes], examined: Examined) -> None:
        """Verify the signatures that could not be, as their keys came with statements just before."""

        def check(index: int) -> None:
            envelope: Envelope = draft_again(entries[index]).envelope
            try:
                dsse.verify(envelope, self._public_key)
            except InbondError as error:
                raise VerificationError(f"entry {examined.first + index}: {error.message}") from None

        for _ in self._executor.map(check, examined.unverified):
            pass

    def _public_key(self, keyid: str) -> PublicKey | None:
        state = self.keyring.keys.get(keyid)
        return self._others.get(keyid) if state is None else state.public
