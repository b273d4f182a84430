"""Statements as bytes: in-toto Statement v1, one subject, canonical JSON.

    {"_type":"https://in-toto.io/Statement/v1","predicate":{"body":…,"header":…},"predicateType":"urn:inbond:<kind>:v1",
     "subject":[{"digest":{"sha256":"<hex>"},"name":"<kind>"}]}

Because the bytes are canonical, everything but the predicate has a fixed length for a kind. `read` finds the kind and
the predicate by position, and the full typed decode then proves that the positions were right.
"""

import hashlib
import re
from functools import cache
from typing import Any, Literal

import msgspec

from inbond.schemas import canonical
from inbond.schemas.entry import MAX_PAYLOAD
from inbond.schemas.errors import InvalidInput
from inbond.schemas.kinds import KINDS, Kind, kind_of
from inbond.schemas.scalars import Closed, Hex32
from inbond.schemas.statements import Header

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

_PREFIX = b'{"_type":"%s","predicate":' % STATEMENT_TYPE.encode()
_TYPE_KEY = b',"predicateType":"'
_OPTIONS: dict[str, Any] = {"frozen": True, "kw_only": True, "forbid_unknown_fields": True, "module": __name__}
_ID = re.compile("[0-9a-f]{32}")
_BY_TYPE = {kind.predicate_type: kind for kind in KINDS.values()}


class _Sha256(Closed, frozen=True, kw_only=True):
    sha256: Hex32


class Statement(msgspec.Struct, frozen=True, gc=False):
    """A statement that has been read: `body` is one of the structs of its kind, `subject_digest` bare hex."""

    kind: str
    header: Header
    body: Any
    subject_digest: str
    subject_name: str

    @property
    def ref(self) -> str:
        """The reference of what this statement makes."""
        return ref(self.kind, self.header.id)


def make(kind: str, body: msgspec.Struct, header: Header, subject_digest: str | None = None) -> bytes:
    """The canonical payload of a statement, at most `MAX_PAYLOAD` bytes.

    The subject is the object that the body names where the kind has one, else the predicate itself; a `subject_digest`
    (bare hex) that is given must agree. Raises InvalidInput, naming the field, for a body or header that does not keep
    to its struct's types: msgspec structs do not check what they are constructed from, so the bytes are read back.
    """
    known = kind_of(kind)
    if type(body) not in known.bodies:
        expected = " or ".join(each.__name__ for each in known.bodies)
        raise InvalidInput(f"{kind} statement: expected a body of type {expected}, found {type(body).__name__}")
    predicate = canonical.encode({"body": body, "header": header})
    digest = _subject_of(known, body, predicate) if subject_digest is None else subject_digest
    payload = _PREFIX + predicate + _suffix(kind, digest)
    read(payload)
    return payload


def read(payload: bytes, likely: str = "") -> Statement:
    """Parse a statement's payload into its kind's structs. To say which kind it is `likely` of saves looking for it.

    Raises InvalidInput, naming the field where it is one, for bytes that are too long, not canonical, of a kind that
    does not exist, not exactly of that kind's fields, or with a subject that is not the one the kind prescribes.
    """
    if len(payload) > MAX_PAYLOAD:
        raise InvalidInput(f"statement: expected at most {MAX_PAYLOAD} bytes, found {len(payload)}")
    guessed = KINDS.get(likely)
    found = None if guessed is None else _read_predicate(payload, guessed)
    if found is None:
        kind = _peek_kind(payload)
        found = _read_predicate(payload, kind) or _read_whole(payload, kind)
    return found


class _ClaimedHeader(msgspec.Struct):
    id: str


class _ClaimedPredicate(msgspec.Struct):
    header: _ClaimedHeader


class _Claimed(msgspec.Struct, rename={"type": "predicateType"}):
    predicate: _ClaimedPredicate
    type: str


_claimed = msgspec.json.Decoder(_Claimed)


def claimed(payload: bytes) -> tuple[str, str]:
    """The kind and the reference that a payload claims; they are right where `read` accepts it, which takes ten times as long.

    Raises InvalidInput, as `read` does, for bytes that claim nothing.
    """
    try:
        found = _claimed.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        statement = read(payload)
        return statement.kind, statement.ref
    kind = _BY_TYPE.get(found.type) or _peek_kind(payload)
    return kind.name, ref(kind.name, found.predicate.header.id)


def ref(kind: str, id: str) -> str:
    """The reference `<kind>:<id>`."""
    return f"{kind}:{id}"


def split_ref(reference: str) -> tuple[str, str]:
    """The kind and the id in a reference; InvalidInput for anything but `<kind>:<32 hex>` of a kind that exists."""
    kind, _, id = reference.partition(":")
    if kind not in KINDS or _ID.fullmatch(id) is None:
        raise InvalidInput(f"expected a reference <kind>:<32 hex digits>, found {reference[:80]!r}")
    return kind, id


def digest_of(value: Any) -> str:
    """`sha256:` and hex over the canonical JSON of `value`: the digest of plans, options and the like."""
    return "sha256:" + hashlib.sha256(canonical.encode(value)).hexdigest()


@cache
def wire_type(name: str) -> Any:
    """The struct of a whole statement of the kind called `name`, which must exist; JSON Schema is made from it too."""
    kind = KINDS[name]
    subject = msgspec.defstruct("Subject", [("digest", _Sha256), ("name", Literal[name])], **_OPTIONS)
    return msgspec.defstruct(
        "Statement",
        [
            ("type_", Literal[STATEMENT_TYPE]),
            ("predicate", _predicate_type(name)),
            ("predicate_type", Literal[kind.predicate_type]),
            ("subject", tuple[subject]),  # type: ignore[valid-type]
        ],
        rename={"type_": "_type", "predicate_type": "predicateType"},
        **_OPTIONS,
    )


@cache
def _predicate_type(name: str) -> Any:
    kind = KINDS[name]
    body: Any = kind.bodies[0]
    for other in kind.bodies[1:]:
        body = body | other
    return msgspec.defstruct("Predicate", [("body", body), ("header", Header)], **_OPTIONS)


def _read_predicate(payload: bytes, kind: Kind) -> Statement | None:
    """The statement, if what stands around its predicate is as it must be and nothing is wrong: half the work."""
    before, after = _around_digest(kind.name)
    end = len(payload) - len(before) - 64 - len(after)
    predicate = payload[len(_PREFIX) : end]
    try:
        read = canonical.decode(predicate, _predicate_type(kind.name), within=1)
    except InvalidInput:
        return None
    digest = _subject_of(kind, read.body, predicate)
    if payload[end:] != b"%b%b%b" % (before, digest.encode(), after) or not payload.startswith(_PREFIX) or len(digest) != 64:
        return None
    return Statement(kind.name, read.header, read.body, digest, kind.name)


def _read_whole(payload: bytes, kind: Kind) -> Statement:
    wire = canonical.decode(payload, wire_type(kind.name), what=f"{kind.name} statement")
    predicate, subject = wire.predicate, wire.subject[0]
    found = subject.digest.sha256
    expected = _subject_of(kind, predicate.body, payload[len(_PREFIX) : -len(_suffix(kind.name, found))])
    if found != expected:
        what = "the SHA-256 of the predicate" if kind.subject is None else "the digest of its object"
        raise InvalidInput(f"{kind.name} statement: expected subject digest {expected}, {what}, found {found}")
    return Statement(kind.name, predicate.header, predicate.body, found, kind.name)


def _subject_of(kind: Kind, body: msgspec.Struct, predicate: bytes) -> str:
    if kind.subject is None:
        return hashlib.sha256(predicate).hexdigest()
    try:
        return kind.subject(body).removeprefix("sha256:")
    except AttributeError:
        return ""  # the field has not its type, and whoever reads the statement back will hear which


def _suffix(kind: str, digest: str) -> bytes:
    return digest.encode().join(_around_digest(kind))


@cache
def _around_digest(kind: str) -> tuple[bytes, bytes]:
    before = f',"predicateType":"urn:inbond:{kind}:v1","subject":[{{"digest":{{"sha256":"'
    return before.encode(), f'"}},"name":"{kind}"}}]}}'.encode()


def _peek_kind(payload: bytes) -> Kind:
    at = payload.rfind(_TYPE_KEY, max(0, len(payload) - 300))
    start = at + len(_TYPE_KEY)
    end = payload.find(b'"', start)
    if at < 0 or end < 0:
        raise InvalidInput(
            'statement: expected canonical JSON that ends with the members "predicateType" and "subject", found '
            f"{payload[-60:]!r}"
        )
    found = payload[start:end].decode("ascii", "replace")
    kind = _BY_TYPE.get(found)
    if kind is None:
        raise InvalidInput(f"statement: expected predicateType urn:inbond:<kind>:v1 of a known kind, found {found!r}")
    return kind
