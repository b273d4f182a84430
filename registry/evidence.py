"""What receipts prove of a statement, offline: under a trust policy, from a genesis hash that is pinned, without a registry.

A statement is believed when its receipt leads to a head that the policy accepts and that the log's keys of that size have
signed, and when a key that was in force at its place signed it in a role that its kind needs. The keys follow from genesis and
key entries, whose receipts are given: what is not given is not known, so a revocation can be withheld by whoever gives them,
an enrolment cannot.

Where the log's key has changed since the policy was written, it is followed through key statements that enough admins signed,
as `inbond-verify` does.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from inbond.ledger import dsse, merkle, notes, receipts
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.keyring import Keyring, key_roles, own_keys
from inbond.ledger.policy import TrustedLog, TrustPolicy
from inbond.ledger.receipts import Receipt
from inbond.ledger.replay import draft_of
from inbond.ledger.rules import Draft, Signer
from inbond.registry.signers import authorised
from inbond.schemas.errors import Inconclusive, InvalidInput, NotFound, NotPermitted, StoreError, VerificationError
from inbond.schemas.statements import Genesis

SUFFIX = ".tlog-proof"
Given = bytes | str | Path
"""A receipt: its bytes, or the file that holds them."""

_KEY_KINDS = ("genesis", "key")


def receipt_of(given: Given) -> Receipt:
    """The receipt in bytes or in a file; nothing is verified yet. Raises VerificationError for what is none."""
    if isinstance(given, bytes):
        return receipts.parse(given)
    try:
        return receipts.parse(Path(given).read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound(f"{given}: expected a receipt ({SUFFIX}), found none") from None
    except OSError as error:
        raise StoreError(f"{given}: expected a receipt, found a file that cannot be read: {error.strerror}") from None
    except VerificationError as error:
        raise VerificationError(f"{given}: {error.message}") from None


def receipts_of(given: Given | Iterable[Given]) -> list[Receipt]:
    """Several receipts: each given, or all of a folder, such as `receipts/` of a bundle."""
    if isinstance(given, str | Path) and Path(given).is_dir():
        return [receipt_of(path) for path in sorted(Path(given).glob(f"*{SUFFIX}"))]
    several = [given] if isinstance(given, bytes | str | Path) else given
    return [receipt_of(each) for each in several]


class Evidence:
    """The keys of the log that `genesis` (leaf hash of entry 0) pins, as far as `keys`, receipts with entries, tell of them.

    Receipts of other kinds among `keys` are left aside. Raises VerificationError, saying what was expected and found, for
    whatever does not verify, and Inconclusive where genesis is not among them.
    """

    def __init__(self, policy: TrustPolicy, genesis: bytes, keys: Iterable[Receipt]) -> None:
        held = {receipt.index: (receipt, draft) for receipt in keys if (draft := _draft(receipt)).kind in _KEY_KINDS}
        if 0 not in held:
            raise Inconclusive(
                f"expected the receipt of genesis {genesis.hex()} among the keys, found {len(held)} others",
                hint="give the receipts of entry 0 and of every key entry: receipts/ of a bundle has them",
            )
        found = merkle.leaf_hash(_entry(held[0][0]))
        if found != genesis:
            raise VerificationError(f"genesis: expected the leaf hash {genesis.hex()}, found {found.hex()}")
        self._keyrings: list[tuple[int, Keyring]] = []
        self._introduced: dict[str, list[Draft]] = {}  # by key: the entries that brought it
        self._fold([held[seq][1] for seq in sorted(held)])
        self._keyring = self._keyrings[-1][1]
        self._policy = self._followed(policy)
        self._roots: dict[int, bytes] = {}
        for receipt, _ in held.values():
            self._check_place(receipt)

    def statement(self, receipt: Receipt) -> Draft:
        """The statement in a receipt that brings its entry, with its signers; of another kind than genesis and key.

        Raises Inconclusive where a key that signed is not among those given, or was revoked as suspect from before it.
        """
        draft = _draft(receipt)
        self._check_place(receipt)
        if not draft.seq:
            raise VerificationError(f"receipt of entry 0: expected that of a statement in the log, found that of {draft.ref}")
        judged = self._judged(draft, self._keys_at(draft.seq))
        self._check_doubt(judged)
        return judged

    def _fold(self, drafts: list[Draft]) -> None:
        keyring = Keyring(origin=drafts[0].statement.header.registry)
        for draft in drafts:
            judged = self._judged(draft, keyring)
            keyring = keyring.copy()
            keyring.apply(judged)
            self._keyrings.append((draft.seq, keyring))
            for keyid in own_keys(draft.statement):
                self._introduced.setdefault(keyid, []).append(judged)

    def _keys_at(self, seq: int) -> Keyring:
        """The keys in force at an entry: what the key entries before it say."""
        return [keyring for at, keyring in self._keyrings if at < seq][-1]

    def _followed(self, policy: TrustPolicy) -> TrustPolicy:
        """The policy, with the keys that came after those of it."""
        log = self._keyring.log
        if not any(trusted.vkey in log.since for trusted in policy.logs):
            return policy
        known = {trusted.vkey for trusted in policy.logs}
        later = tuple(TrustedLog(key) for key in log.since if key not in known and key not in log.until)
        return replace(policy, logs=(*policy.logs, *later))

    def _check_place(self, receipt: Receipt) -> None:
        """Raise unless the receipt's entry stands in this log, under a head that the policy and the log's keys make good."""
        what = f"receipt of entry {receipt.index}"
        try:
            head = receipts.verify(receipt, merkle.leaf_hash(_entry(receipt)), self._policy)
            self._keyring.log.open(receipt.checkpoint, self._keyring.origin)
        except VerificationError as error:
            raise VerificationError(f"{what}: {error.message}") from None
        if (other := self._roots.setdefault(head.size, head.root)) != head.root:
            raise VerificationError(
                f"{what}: expected root {other.hex()}, which another head of size {head.size} has, found {head.root.hex()}: "
                "the log shows two histories"
            )
        self._check_log_key(receipt, head)

    def _check_log_key(self, receipt: Receipt, head: Checkpoint) -> None:
        log = self._keyring.log
        _, signed = notes.open_note(receipt.checkpoint, [key for key in log.since if key.supported])
        sound = [key for key in signed if not (key in log.suspect and head.size > log.suspect[key])]
        if not sound:
            suspect = min(log.suspect[key] for key in signed)
            raise Inconclusive(
                f"receipt of entry {receipt.index}: its log key is suspect beyond size {suspect}",
                hint="ask for the receipt under a newer checkpoint",
            )

    def _judged(self, draft: Draft, keyring: Keyring) -> Draft:
        """The draft with its signers, whose signatures and roles are those that its kind needs."""
        what = f"entry {draft.seq}, {draft.ref}"
        if draft.statement.header.registry != keyring.origin:
            raise VerificationError(f"{what}: expected registry {keyring.origin}, found {draft.statement.header.registry}")
        try:
            signers = tuple(_signer(draft, keyring, signature.keyid) for signature in draft.envelope.signatures)
            dsse.verify(draft.envelope, {signer.keyid: signer.public for signer in signers}.get)
            judged = replace(draft, signers=signers)
            if draft.kind in _KEY_KINDS:
                keyring.admit(judged)
            else:
                authorised(judged)
        except (NotPermitted, InvalidInput, VerificationError) as error:
            raise VerificationError(f"{what}: {error.message}") from None
        return judged

    def _check_doubt(self, draft: Draft) -> None:
        """Raise where a key that signed is suspect at its entry, or one of those that brought that key."""
        todo, done = [draft], set()
        while todo:
            at = todo.pop()
            done.add(at.seq)
            for signer in at.signers:
                state = self._keyring.keys.get(signer.keyid)
                if state is not None and state.suspect_from is not None and at.seq >= state.suspect_from:
                    raise Inconclusive(
                        f"{draft.ref}: key {signer.keyid[:16]}, which signed entry {at.seq}, was revoked as suspect from entry "
                        f"{state.suspect_from}"
                    )
                brought = self._introduced.get(signer.keyid, ())
                todo += [each for each in brought if each.seq < at.seq and each.seq not in done]


def _signer(draft: Draft, keyring: Keyring, keyid: str) -> Signer:
    found = keyring.signer(keyid, draft.time)
    if found is not None:
        return found
    public = own_keys(draft.statement).get(keyid)
    if public is None:
        raise Inconclusive(
            f"entry {draft.seq}, {draft.ref}: expected signatures by keys that the given key entries enrol before it, found one "
            f"by {keyid[:16]}",
            hint="give the receipts of every key entry",
        )
    if isinstance(draft.body, Genesis):
        return Signer(keyid, public, f"party:{draft.statement.header.id}", key_roles(draft.body, public))
    return Signer(keyid, public, draft.body.party, frozenset())


def _draft(receipt: Receipt) -> Draft:
    draft = draft_of(_entry(receipt))
    if draft.seq != receipt.index or (draft.kind == "genesis") != (draft.seq == 0):
        raise VerificationError(
            f"receipt of entry {receipt.index}: expected the entry of that number, found a {draft.kind} of number {draft.seq}"
        )
    return draft


def _entry(receipt: Receipt) -> bytes:
    if receipt.extra is None:
        raise InvalidInput(f"receipt of entry {receipt.index}: expected it with the entry's bytes, found it without")
    return receipt.extra
