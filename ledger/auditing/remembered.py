"""What an audit remembers for the next one: how far it came, and what it needs to go on from there.

One file for each log, under the user's state folder, named by the genesis leaf hash. It is the user's own, as the newest
checkpoint there is (highwater.py): an audit that goes on from it is worth what the earlier one was. Its form and a
checksum are checked, the checkpoint in it has to be contained in the log, and so have the tiles' hashes; a file that is
damaged counts as none.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from inbond.ledger.files import make_folders, sync_folder
from inbond.ledger.highwater import state_folder
from inbond.ledger.keyring import Keyring, KeyState
from inbond.ledger.keys import PublicKey, VerifierKey
from inbond.ledger.tiles import TILE_WIDTH
from inbond.schemas.errors import StoreError, VerificationError

FILE = "audited"

_FIRST_LINE = b"inbond-audited/v1\n"
_MAX_HEAD = 1 << 28
_BLOCK = 1 << 20
_ID = 16


class KeyRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key of the keyring."""

    public: bytes
    party: str
    roles: frozenset[str]
    since: int
    custody: str
    not_after: str | None
    revoked: int | None
    suspect_from: int | None


class LogKeyRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A log key, the entry that brought it, the one that revoked it, and the size from which on it is in doubt."""

    vkey: str
    since: int
    until: int | None
    suspect: int | None = None


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may sign, and who has signed (fingerprints, one after the other), after the entries that were audited."""

    threshold: int
    keys: list[KeyRow]
    log_keys: list[LogKeyRow]
    signed: bytes


class Remembered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state after the first `at` entries, which end with a full tile, and the checkpoint that the audit ended with.

    `leaf` and `time` are those of the entry before; `tops` the hashes of the full tiles of level 0. `size` and `root` are of
    the newest checkpoint that was verified, size 0 where the audit was interrupted before there was one. `rows` are those of
    the rules' tables, by table; `rules` names the rules.
    """

    genesis: bytes
    origin: str
    at: int
    leaf: bytes
    time: str
    tops: bytes
    size: int
    root: bytes
    keys: Keys
    rules: str
    rows: dict[str, list[list[Any]]]


class Memory:
    """The file of one log. With `anew` it is not read, only written."""

    def __init__(self, *, anew: bool = False) -> None:
        self.anew = anew

    def recall(self, genesis: bytes) -> "Recalled | None":
        """What is remembered of a log; None where there is nothing.

        Raises VerificationError for a file that is damaged.
        """
        path = _path(genesis)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}", hint="INBOND_STATE names another folder") from error
        with file:
            state, first_id = _read_head(path, file)
        found = Recalled(path, state, first_id)
        if state.genesis != genesis or os.path.getsize(path) != first_id + _ID * state.at + 32:
            raise _damaged(path)
        for _ in found.ids():
            pass
        return found

    def keep(self, state: Remembered, ids: Iterable[bytes]) -> None:
        """Replace the file; `ids` are header ids of at least the first `at` entries."""
        path = _path(state.genesis)
        try:
            make_folders(path.parent, 0o700)
            _write(path, state, ids)
        except OSError as error:
            raise StoreError(f"{path}: what was audited could not be remembered: {error.strerror}") from error


class Recalled:
    """A file that was read."""

    def __init__(self, path: Path, state: Remembered, first_id: int) -> None:
        self.path, self.state, self._first_id = path, state, first_id

    def ids(self) -> Iterator[bytes]:
        """The header ids of the entries that were audited, some at a time; raises where the checksum does not fit."""
        checksum = sha256()
        with self.path.open("rb") as file:
            checksum.update(file.read(self._first_id))
            left = _ID * self.state.at
            while left:
                block = file.read(min(_BLOCK, left))
                checksum.update(block)
                left -= len(block)
                yield block
            if file.read() != checksum.digest():
                raise _damaged(self.path)


def keys_of(keyring: Keyring, signed: Iterable[str]) -> Keys:
    """What is remembered of keys."""
    return Keys(
        threshold=keyring.threshold,
        keys=[
            KeyRow(s.public.raw, s.party, s.roles, s.since, s.custody, s.not_after, s.revoked, s.suspect_from)
            for s in keyring.keys.values()
        ],
        log_keys=[
            LogKeyRow(key.format(), since, keyring.log.until.get(key), keyring.log.suspect.get(key))
            for key, since in keyring.log.since.items()
        ],
        signed=b"".join(sorted(map(bytes.fromhex, signed))),
    )


def keyring_from(origin: str, keys: Keys) -> tuple[Keyring, set[str]]:
    """The inverse of `keys_of`."""
    keyring = Keyring(origin=origin, threshold=keys.threshold)
    for row in keys.keys:
        public = PublicKey(row.public)
        keyring.keys[public.fingerprint] = KeyState(
            public, row.party, row.roles, row.since, row.custody, row.not_after, row.revoked, row.suspect_from
        )
    for each in keys.log_keys:
        key = VerifierKey.parse(each.vkey)
        keyring.log.since[key] = each.since
        if each.until is not None:
            keyring.log.until[key] = each.until
        if each.suspect is not None:
            keyring.log.suspect[key] = each.suspect
    return keyring, {keys.signed[at : at + 32].hex() for at in range(0, len(keys.signed), 32)}


def _path(genesis: bytes) -> Path:
    return state_folder() / genesis.hex() / FILE


def _damaged(path: Path) -> VerificationError:
    return VerificationError(f"{path}: expected what an audit has written, found something else")


def _read_head(path: Path, file: BinaryIO) -> tuple[Remembered, int]:
    start = file.read(len(_FIRST_LINE) + 4)
    length = int.from_bytes(start[len(_FIRST_LINE) :], "big")
    if not start.startswith(_FIRST_LINE) or length > _MAX_HEAD:
        raise _damaged(path)
    try:
        state = msgspec.msgpack.decode(file.read(length), type=Remembered)
    except msgspec.MsgspecError:
        raise _damaged(path) from None
    if state.at < 0 or state.at % TILE_WIDTH or len(state.tops) != state.at // TILE_WIDTH * 32:
        raise _damaged(path)
    return state, len(start) + length


def _write(path: Path, state: Remembered, ids: Iterable[bytes]) -> None:
    head = msgspec.msgpack.encode(state)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".inbond-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            start = _FIRST_LINE + len(head).to_bytes(4, "big") + head
            file.write(start)
            checksum, left = sha256(start), _ID * state.at
            for block in ids:
                some = block[:left]
                left -= len(some)
                checksum.update(some)
                file.write(some)
            file.write(checksum.digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    sync_folder(path.parent)
