"""What of a registry was verified: its genesis, its keys as they stood at each entry, entries by their receipts.

A server's word counts for nothing here. An entry is believed when its receipt leads to a head that the log has signed and
that continues the history seen before, and when a head with the policy's quorum of witnesses covers it; a statement, when the
keys in force at its place signed it in a role that its kind needs. The keys follow from genesis and key entries, each of them
believed in the same way; those before an entry that witnesses have seen were seen with it.

What cannot be noticed is what a server leaves out: nothing proves that a list of keys is complete, so a revocation can
be withheld (an enrolment cannot: its key would be unknown).
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import RLock
from time import monotonic
from typing import Any

from inbond.ledger import dsse, merkle, receipts
from inbond.ledger.encoding import from_base64
from inbond.ledger.keyring import Keyring, KeyState, key_roles, own_keys
from inbond.ledger.keys import PublicKey
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.receipts import MAX_RECEIPT, Receipt
from inbond.ledger.replay import draft_of
from inbond.ledger.rules import Draft, Signer
from inbond.ledger.tiles import TILE_WIDTH, tile_path
from inbond.registry.places.heads import Asking, Heads, others_of, signed_only
from inbond.registry.places.paths import path_of
from inbond.registry.places.transport import Transport
from inbond.registry.signers import authorised
from inbond.schemas.errors import InvalidInput, NotFound, NotPermitted, VerificationError
from inbond.schemas.kinds import RUN
from inbond.schemas.statement import split_ref
from inbond.schemas.statements import Consume, Genesis, RunOpen

_KEPT = 20_000  # statements that an object remembers
_KEYS_HOLD = 2.0  # seconds for which a list of keys is taken to be the newest
_MAX_PAGES = 1000


@dataclass
class _KeyItem:
    entries: list[int]


@dataclass
class _KeyPage:
    items: list[_KeyItem]
    next: str | None


@dataclass
class _Proof:
    proof: list[str]


class Trust:
    """One registry's log as far as it was verified, under a policy and, where it is given, the genesis leaf hash `pin`.

    Safe in many threads. Raises VerificationError, saying what was expected and found, for whatever does not verify.
    """

    def __init__(self, transport: Transport, policy: TrustPolicy, pin: bytes | None) -> None:
        self._transport, self._policy, self._signed = transport, policy, signed_only(policy)
        self._lock = RLock()
        self._made: dict[str, Draft] = {}
        self._keyrings: list[tuple[int, Keyring]] = []  # (entry, the keys after it), in order
        self._key_drafts: dict[int, Draft] = {}
        self._listed_at = -_KEYS_HOLD
        first = self._receipt(0)
        data = self._leaf(first)
        self.genesis = merkle.leaf_hash(data)
        self.origin = self._signed.open_checkpoint(first.checkpoint).origin
        self._check_pin(pin)
        asking = Asking(self._ask_head, lambda size: self._receipt(0, size).checkpoint, self.consistency)
        self.heads = Heads(transport.address, self.genesis, self.origin, policy, asking)
        self.heads.accept(first.checkpoint)
        self.heads.expect_witnessed(1)
        self.first = self._draft(data, 0)
        self.operator = f"party:{self.first.statement.header.id}"
        self._fold([self.first])

    # -- entries -----------------------------------------------------------------------------------------------------------

    def entry(self, receipt: Receipt) -> Draft:
        """The statement in a receipt that brings its entry's bytes, with its signers.

        Raises Inconclusive where the policy wants witnesses that have not seen the entry yet.
        """
        found = self.recorded(receipt)
        self.heads.expect_witnessed(receipt.index + 1)
        return found

    def recorded(self, receipt: Receipt) -> Draft:
        """The same, of a statement that was put on record just now: no witness can have seen it, which `heads.remark` tells."""
        data = self._leaf(receipt)
        self.heads.accept(receipt.checkpoint)
        self.heads.rely(receipt.index + 1)
        return self._draft(data, receipt.index)

    def made(self, ref: str) -> Draft:
        """The statement that made a thing, with its signers. What was proved once is remembered: it never changes."""
        kind, id = split_ref(ref)
        if id == self.first.statement.header.id and kind in ("party", "genesis"):
            return self.first
        found = self._made.get(ref)
        if found is None:
            path = f"{path_of(ref)}/statement"
            found = self.entry(receipts.parse(self._transport.get(path, limit=MAX_RECEIPT)))
            if found.ref != ref:
                raise VerificationError(
                    f"the server's answer to {path}: expected the statement of {ref}, found that of {found.ref}"
                )
            self.remember(found)
        return found

    def remember(self, draft: Draft) -> None:
        """Keep a statement that was proved."""
        with self._lock:
            self._made[draft.ref] = draft
            while len(self._made) > _KEPT:
                self._made.pop(next(iter(self._made)))

    def receipt(self, seq: int, size: int | None = None) -> Receipt:
        """The receipt of an entry, proved by its bytes where they are in it, else by the leaf hash in the log's tile."""
        receipt = self._receipt(seq, size)
        head = self.heads.accept(receipt.checkpoint)
        self.heads.rely(seq + 1)
        if size is not None and head.size != size:
            raise VerificationError(f"receipt of entry {seq}: expected it under the head of size {size}, found {head.size}")
        if receipt.extra is not None:
            self._leaf(receipt)
            return receipt
        n, at = divmod(seq, TILE_WIDTH)
        path = f"/ledger/{tile_path(0, n, min(TILE_WIDTH, head.size - n * TILE_WIDTH))}"
        tile = self._transport.get(path, limit=TILE_WIDTH * merkle.HASH_SIZE)
        leaf = tile[at * merkle.HASH_SIZE : (at + 1) * merkle.HASH_SIZE]
        merkle.verify_inclusion(seq, head.size, leaf, receipt.proof, head.root)
        return receipt

    # -- keys --------------------------------------------------------------------------------------------------------------

    def key(self, fingerprint: str) -> KeyState | None:
        """A key as of the newest list of keys, which is at most some seconds old; None where it is not enrolled."""
        if self._keyrings[-1][1].keys.get(fingerprint) is None or monotonic() - self._listed_at > _KEYS_HOLD:
            self._ask_keys()
        return self._keyrings[-1][1].keys.get(fingerprint)

    def _ask_keys(self) -> bool:
        """Ask which entries are about keys, and believe those that are new; whether there were any."""
        listed: set[int] = set()
        after: str | None = None
        for _ in range(_MAX_PAGES):
            page = self._transport.json("/v1/keys", _KeyPage, [("limit", "1000"), *([("after", after)] if after else [])])
            listed.update(seq for item in page.items for seq in item.entries)
            after = page.next
            if after is None:
                break
        self._listed_at = monotonic()
        with self._lock:
            new = sorted(listed - self._key_drafts.keys())
        if new:
            self._fold([self._unsigned_key(seq) for seq in new])
        return bool(new)

    def _unsigned_key(self, seq: int) -> Draft:
        """A key entry by its receipt; its signatures are judged in `_fold`, when all entries before it are known."""
        receipt = self._receipt(seq)
        data = self._leaf(receipt)
        self.heads.accept(receipt.checkpoint)
        draft = draft_of(data)
        if draft.kind != "key":
            raise VerificationError(f"the server's list of keys: expected entries about keys, found a {draft.kind} at {seq}")
        return draft

    def _fold(self, drafts: Iterable[Draft]) -> None:
        """Take key entries into the keyrings, all of them judged again in the order of the log."""
        with self._lock:
            known = self._key_drafts | {draft.seq: draft for draft in drafts}
            keyrings: list[tuple[int, Keyring]] = []
            keyring = Keyring(origin=self.origin)
            for seq, draft in sorted(known.items()):
                judged = draft if seq == 0 else self._judged(draft, keyring)
                keyring = keyring.copy()
                keyring.apply(judged)
                keyrings.append((seq, keyring))
            self._key_drafts, self._keyrings = known, keyrings
            self.heads.learn(keyring.log)

    def _keys_at(self, seq: int) -> Keyring:
        """The keys in force at an entry: what the key entries before it say."""
        keyrings = self._keyrings
        before = bisect_left(keyrings, seq, key=lambda pair: pair[0])
        return keyrings[before - 1][1] if before else Keyring(origin=self.origin)

    # -- judging -----------------------------------------------------------------------------------------------------------

    def _draft(self, data: bytes, index: int) -> Draft:
        """The statement in an entry whose place in the log is proved, with its signers, their signatures and roles checked."""
        draft = draft_of(data)
        registry = draft.statement.header.registry
        if draft.seq != index or registry != self.origin:
            raise VerificationError(
                f"entry {index} of {self.origin}: expected its number and origin, found {draft.seq}, {registry}"
            )
        if (draft.kind == "genesis") != (index == 0):
            raise VerificationError(f"entry {index} of {self.origin}: expected genesis as entry 0 alone, found a {draft.kind}")
        try:
            return self._judged(draft, self._keys_at(index))
        except VerificationError:
            if not self._keyrings or not self._ask_keys():
                raise
        return self._judged(draft, self._keys_at(index))

    def _judged(self, draft: Draft, keyring: Keyring) -> Draft:
        what = f"entry {draft.seq}, {draft.ref}: expected a statement that the registry's rules let stand"
        opened = self._opened(draft.body)
        try:
            keys = [self._signer(draft, keyring, signature.keyid, opened) for signature in draft.envelope.signatures]
            dsse.verify(draft.envelope, {signer.keyid: signer.public for signer in keys}.get)
            judged = replace(draft, signers=tuple(keys))
            if draft.kind in ("genesis", "key"):
                keyring.admit(judged)
            else:
                authorised(judged)
            if isinstance(draft.body, RunOpen) and not any(RUN in signer.roles for signer in keys):
                raise NotPermitted("expected a signature of the run's own key, found none")
        except (NotPermitted, InvalidInput, VerificationError) as error:
            raise VerificationError(
                f"{what}: expected a statement that the registry's rules let stand, found: {error.message}"
            ) from None
        return judged

    def _signer(self, draft: Draft, keyring: Keyring, keyid: str, opened: RunOpen | None) -> Signer:
        """Who a key was at the statement's place: enrolled, brought by the statement itself, or the key of the run `opened`."""
        found = keyring.signer(keyid, draft.time)
        if found is not None:
            return found
        body, party = draft.body, draft.statement.header.asserted_by.party
        own = own_keys(draft.statement).get(keyid)
        if own is not None and isinstance(body, Genesis):
            return Signer(keyid, own, f"party:{draft.statement.header.id}", key_roles(body, own))
        if own is not None:
            return Signer(keyid, own, body.party, frozenset())
        if opened is not None and (public := PublicKey.from_base64(opened.run_key)).fingerprint == keyid:
            return Signer(keyid, public, party, frozenset({RUN}))
        raise NotPermitted(f"expected signatures by keys of this log, found one by {keyid[:16]}")

    def _opened(self, body: Any) -> RunOpen | None:
        """The statement that brought the run key which may sign `body`, None where none may."""
        opened = self.made(body.run).body if isinstance(body, Consume) else body
        return opened if isinstance(opened, RunOpen) else None

    # -- asking ------------------------------------------------------------------------------------------------------------

    def _receipt(self, seq: int, size: int | None = None) -> Receipt:
        path = f"/v1/ledger/entries/{seq}/receipt"
        params = [] if size is None else [("size", str(size))]
        receipt = receipts.parse(self._transport.get(path, params, limit=MAX_RECEIPT))
        if receipt.index != seq:
            raise VerificationError(
                f"the server's answer to {path}: expected the receipt of entry {seq}, found that of {receipt.index}"
            )
        return receipt

    def _leaf(self, receipt: Receipt) -> bytes:
        """The entry's bytes in a receipt, which proves them."""
        if receipt.extra is None:
            raise VerificationError(f"receipt of entry {receipt.index}: expected it with the entry's bytes, found it without")
        receipts.verify(receipt, merkle.leaf_hash(receipt.extra), self._signed)
        return receipt.extra

    def _ask_head(self) -> bytes:
        return self._transport.get("/ledger/checkpoint", limit=MAX_RECEIPT)

    def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """The proof that the tree of size `old` is how that of `new` begins, as the server gives it."""
        what = f"consistency of sizes {old} and {new}"
        try:
            found = self._transport.json("/v1/ledger/consistency", _Proof, [("old", str(old)), ("new", str(new))])
        except (NotFound, InvalidInput) as error:
            raise VerificationError(f"{what}: expected a proof, found: {error.message}") from None
        return [from_base64(text, what, length=merkle.HASH_SIZE) for text in found.proof]

    def _check_pin(self, pin: bytes | None) -> None:
        if pin is not None and pin != self.genesis:
            raise VerificationError(
                f"{self._transport.address}: expected the registry of genesis {pin.hex()}, found {self.genesis.hex()}"
            )
        if pin is None and (others := others_of(self.origin, self.genesis, self._policy)):
            raise VerificationError(
                f"{self._transport.address}: expected the log {self.origin} of genesis {others[0].parent.name}, as seen before, "
                f"found one of genesis {self.genesis.hex()} under the same key: its history was replaced",
                hint=f"if that is meant to be so: INBOND_GENESIS={self.genesis.hex()}; the head seen before is {others[0]}",
            )
