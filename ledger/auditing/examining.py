"""What can be said of entries without those before them: a function of their bytes, so that many chunks run at once.

Form, place, the chain inside the chunk, the statement and its kind, time, leaf hashes, and every signature whose key is
known. What needs the entries before (the chain at the chunk's edge, who may sign, what signers have seen, header ids) is
handed back in bulk. This module runs in worker processes and imports accordingly little.
"""

import re
from binascii import a2b_base64, b2a_base64, unhexlify
from hashlib import sha256
from typing import NamedTuple, get_args

import msgspec

from inbond.ledger import dsse
from inbond.ledger.encoding import from_base64
from inbond.ledger.entries import parse_entry
from inbond.ledger.keys import PublicKey
from inbond.ledger.tiles import TILE_WIDTH, tile_root
from inbond.schemas import statement as statements
from inbond.schemas.entry import GENESIS_PREV, MAX_ENTRY, MAX_PAYLOAD, PAYLOAD_TYPE
from inbond.schemas.errors import InbondError, VerificationError
from inbond.schemas.kinds import KINDS
from inbond.schemas.scalars import Moment
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Genesis, Key, Seen

MAX_SIGNATURES = 16


class Keys:
    """Public keys by fingerprint. A fingerprint is a hash of the key, so it does not matter who says what the key is."""

    def __init__(self) -> None:
        self._known: dict[str, PublicKey] = {}

    def add(self, key: PublicKey) -> bool:
        """Take in a key; whether it is new."""
        return self._known.setdefault(key.fingerprint, key) is key

    def get(self, fingerprint: str) -> PublicKey | None:
        """The key with a fingerprint."""
        return self._known.get(fingerprint)


class Examine(msgspec.Struct, frozen=True, tag=True):
    """Entries in a row to be examined, `first` the seq of the first.

    `signatures` says whether theirs are checked, `payloads` whether the hashes of their payloads are wanted.
    """

    first: int
    origin: str
    entries: list[bytes]
    signatures: bool
    payloads: bool


class Group(msgspec.Struct, frozen=True):
    """Entries of one kind, by index in their chunk, that are signed by the same keys, given by fingerprint.

    `roles` are those of which the kind needs one.
    """

    kind: str
    roles: frozenset[str]
    keyids: tuple[str, ...]
    at: list[int]


class Examined(msgspec.Struct):
    """What was found, in order, for the `count` entries before `problem`, which says what is wrong with the next one.

    `leaves`, `ids` (header ids) and `payloads` (SHA-256) stand one after the other. `seen` holds index, size and root where
    they differ from the entry before, `unseen` the entries that leave them out; `keys` are those that statements bring.
    """

    first: int
    count: int
    problem: str | None
    prev: bytes
    first_time: str
    last_time: str
    leaves: bytes
    tile_roots: list[bytes]
    ids: bytes
    payloads: bytes
    kinds: list[str]
    groups: list[Group]
    seen: list[tuple[int, int, bytes]]
    unseen: list[int]
    keys: list[bytes]
    unverified: list[int]
    signatures: int


def examine(task: Examine, keys: Keys) -> Examined:
    """Examine entries up to the first that is wrong. `keys` takes in the keys that statements bring."""
    examination = _Examination(task, keys)
    problem = None
    try:
        for data in task.entries:
            examination.take(data)
    except InbondError as error:
        seq = examination.seq
        problem = error.message if error.message.startswith(f"entry {seq}") else f"entry {seq}: {error.message}"
    return examination.result(problem)


def brought_keys(statement: Statement) -> list[PublicKey]:
    """The keys that a statement makes known: those of genesis, an enrolled one, that of a run."""
    body = statement.body
    if not _brings(type(body)):
        return []
    texts: list[object] = [getattr(body, "public_key" if isinstance(body, Key) else "run_key", None)]
    if isinstance(body, Genesis):
        texts = [*body.admins, body.registry_key]
    return [PublicKey.from_base64(text) for text in texts if isinstance(text, str)]


_bringing: dict[type, bool] = {}


def _brings(body: type) -> bool:
    found = _bringing.get(body)
    if found is None:
        found = _bringing[body] = issubclass(body, Genesis | Key) or hasattr(body, "run_key")
    return found


# An entry whose bytes match, payload aside, is one that `parse_entry` takes; any other is handed to it.
_HEAD = b'{"dsse":{"payload":"'
_SIGNATURE = rb'\{"keyid":"([0-9a-f]{64})","sig":"([A-Za-z0-9+/]{85}[AQgw]==)"\}'
_TAIL = re.compile(
    rb'","payloadType":"%b","signatures":\[%b((?:,%b){0,%d})\]\},"kind":"([a-z_]{1,32})","prev":"([0-9a-f]{64})",'
    rb'"seq":(0|[1-9][0-9]{0,15}),"time":"([0-9TZ:.-]{24})","v":1\}'
    % (re.escape(PAYLOAD_TYPE.encode()), _SIGNATURE, _SIGNATURE.replace(b"(", b"(?:"), MAX_SIGNATURES - 1)
)
_EACH = re.compile(_SIGNATURE)
_MOMENT = re.compile(get_args(Moment)[1].pattern)
_base64 = msgspec.json.Decoder(bytes)
_PAE = b"DSSEv1 %d %b " % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode())

_BASE64_64 = re.compile(rb"[A-Za-z0-9+/]{85}[AQgw]==")
_BEFORE = b'","payloadType":"%b","signatures":[{"keyid":"%%b","sig":"' % PAYLOAD_TYPE.encode()
_AFTER = b'"}]},"kind":"%b","prev":"'
_END = b'","seq":%d,"time":"%b","v":1}'

Signatures = list[tuple[str, bytes]]
"""Fingerprint and signature in base64, of each signer."""


class _Like(NamedTuple):
    """What an entry has in common with the one before it, more often than not: its one signer, its kind and its time."""

    keyid: str
    kind: str
    time: str
    before: bytes  # its signature, from the end of its payload on
    after: bytes  # up to its place in the chain


class _Examination:
    def __init__(self, task: Examine, keys: Keys) -> None:
        self._task, self._keys = task, keys
        self.seq = task.first
        self._like = _Like("", "", "", b"", b"")
        self._link = GENESIS_PREV.encode() if task.first == 0 else None
        self._prev = b""
        self._times = ["", ""]
        self._leaves: list[bytes] = []
        self._ids: list[str] = []
        self._payloads: list[bytes] = []
        self._kinds: list[str] = []
        self._groups: dict[tuple[type, tuple[str, ...]], Group] = {}
        self._last_seen: Seen | None = None
        self._seen: list[tuple[int, int, bytes]] = []
        self._unseen: list[int] = []
        self._brought: list[bytes] = []
        self._unverified: list[int] = []
        self._signatures = 0

    def take(self, data: bytes) -> None:
        """Examine the next entry; raises what is wrong with it."""
        payload, signatures, kind, prev, time = self._read(data)
        statement = statements.read(payload, kind)
        header = statement.header
        if statement.kind != kind:
            raise VerificationError(f"expected kind {statement.kind} as its statement says, found {kind}")
        if header.registry != self._task.origin:
            raise VerificationError(f"header.registry: expected {self._task.origin}, found {header.registry}")
        if prev != self._link and self._link is not None:
            raise VerificationError(
                f"expected prev {self._link.decode()}, the leaf hash of the entry before, found {prev.decode()}"
            )
        index = len(self._leaves)
        for key in brought_keys(statement):
            if self._keys.add(key):
                self._brought.append(key.raw)
        if self._task.signatures:
            self._verify(index, payload, signatures)
        if header.seen is None or header.seen != self._last_seen:
            self._note_seen(index, header.seen)
        if time != self._times[1]:
            self._check_time(time)
        keyids = (signatures[0][0],) if len(signatures) == 1 else tuple([keyid for keyid, _ in signatures])
        group = self._groups.get((type(statement.body), keyids))
        if group is None:
            group = Group(kind, KINDS[kind].roles_of(statement.body), keyids, [])
            self._groups[type(statement.body), keyids] = group
        group.at.append(index)
        leaf = sha256(b"\x00" + data)
        self._link = leaf.hexdigest().encode()
        self._prev = self._prev or prev
        self._leaves.append(leaf.digest())
        self._ids.append(header.id)
        if self._task.payloads:
            self._payloads.append(sha256(payload).digest())
        self._kinds.append(kind)
        self._signatures += len(signatures)
        self.seq += 1

    def result(self, problem: str | None) -> Examined:
        """What was found in the entries taken so far."""
        leaves = b"".join(self._leaves)
        full = 32 * TILE_WIDTH
        return Examined(
            first=self._task.first,
            count=len(self._leaves),
            problem=problem,
            prev=self._prev,
            first_time=self._times[0],
            last_time=self._times[1],
            leaves=leaves,
            tile_roots=[tile_root(leaves[at : at + full]) for at in range(0, len(leaves) - full + 1, full)],
            ids=unhexlify("".join(self._ids)),
            payloads=b"".join(self._payloads),
            kinds=self._kinds,
            groups=list(self._groups.values()),
            seen=self._seen,
            unseen=self._unseen,
            keys=self._brought,
            unverified=self._unverified,
            signatures=self._signatures,
        )

    def _read(self, data: bytes) -> tuple[bytes, Signatures, str, bytes, str]:
        """Payload, signatures, kind, prev and time of an entry in its only form."""
        end = data.find(b'"', len(_HEAD))
        like, at = self._like, end + len(self._like.before)
        if (
            self._link is not None
            and data.startswith(like.before, end)
            and data[at + 88 :] == b"%b%b%b" % (like.after, self._link, _END % (self.seq, like.time.encode()))
            and _BASE64_64.fullmatch(data, at, at + 88)
            and data.startswith(_HEAD)
            and len(data) <= MAX_ENTRY
        ):
            return self._payload(data, end), [(like.keyid, data[at : at + 88])], like.kind, self._link, like.time
        match = _TAIL.fullmatch(data, end) if data.startswith(_HEAD) and 0 < len(data) <= MAX_ENTRY else None
        if match is None:
            raise self._refusal(data)
        keyid, signature, more, kind, prev, seq, time = match.groups()
        if seq != b"%d" % self.seq:
            raise VerificationError(f"expected seq {self.seq}, found {seq.decode()}")
        payload = self._payload(data, end)
        signatures = [(keyid.decode(), signature)]
        if more:
            signatures += [(each[1].decode(), each[2]) for each in _EACH.finditer(more)]
            if len({each for each, _ in signatures}) != len(signatures):
                raise VerificationError("envelope: expected one signature of each key, found two by one")
        else:
            self._like = _Like(keyid.decode(), kind.decode(), time.decode(), _BEFORE % keyid, _AFTER % kind)
        return payload, signatures, kind.decode(), prev, time.decode()

    def _payload(self, data: bytes, end: int) -> bytes:
        """The payload of an entry, whose base64 ends before `end`."""
        try:
            payload = _base64.decode(data[len(_HEAD) - 1 : end + 1])  # which takes the alphabet alone
        except msgspec.MsgspecError:
            raise self._refusal(data) from None
        # Only the last four letters of such a text have more forms than one, and only escapes make it longer.
        last = payload[(len(payload) - 1) // 3 * 3 :] if payload else b""
        length, letters = (len(payload) + 2) // 3 * 4, b2a_base64(last, newline=False)
        if len(payload) > MAX_PAYLOAD or end - len(_HEAD) != length or not data.endswith(letters, len(_HEAD), end):
            raise self._refusal(data)
        return payload

    def _refusal(self, data: bytes) -> InbondError:
        """What is wrong with an entry that has another form."""
        try:
            entry = parse_entry(data)
            if entry.seq != self.seq:
                raise VerificationError(f"expected seq {self.seq}, found {entry.seq}")
            if entry.dsse.payload_type != PAYLOAD_TYPE:
                raise VerificationError(f"envelope: expected payload type {PAYLOAD_TYPE}, found {entry.dsse.payload_type[:80]!r}")
            dsse.payload_of(entry.dsse)
            for signature in entry.dsse.signatures:
                from_base64(signature.sig, f"signature by {signature.keyid}", length=64)
        except InbondError as error:
            return error
        return VerificationError("expected an entry in its only form, found another")

    def _check_time(self, time: str) -> None:
        if _MOMENT.fullmatch(time) is None:
            raise VerificationError(f"expected a time such as 2026-01-31T23:59:59.000Z, found {time!r}")
        if time < self._times[1]:
            raise VerificationError(f"expected a time of {self._times[1]} or later, found {time}")
        self._times = [self._times[0] or time, time]

    def _verify(self, index: int, payload: bytes, signatures: Signatures) -> None:
        signed = b"%b%d %b" % (_PAE, len(payload), payload)
        for keyid, signature in signatures:
            found = self._keys.get(keyid)
            if found is None:
                self._unverified.append(index)
                return
            if not found.verify(a2b_base64(signature), signed):
                raise VerificationError(f"envelope: expected a valid signature by {keyid}, found one that does not verify")

    def _note_seen(self, index: int, seen: Seen | None) -> None:
        if seen is None:
            self._unseen.append(index)
            return
        if not 0 < seen.size <= self.seq:
            raise VerificationError(f"header.seen: expected a size from 1 to {self.seq}, found {seen.size}")
        self._last_seen = seen
        self._seen.append((index, int(seen.size), bytes.fromhex(seen.root.removeprefix("sha256:"))))
