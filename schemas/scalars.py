r"""The scalars of the statements: strings and numbers with one written form each, and the lists made of them.

Patterns are anchored with `(?![\s\S])`, the end of input in Python and in ECMAScript alike; `$` would let a final
newline through in Python. They use no `\d`, which matches digits of every script there.
"""

from decimal import Decimal as _Decimal
from decimal import InvalidOperation
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from inbond.schemas.canonical import MAX_INTEGER
from inbond.schemas.errors import InvalidInput

T = TypeVar("T")

MAX_LIST = 64
"""The longest list that a statement holds; a longer one is an object in the store."""

_END = r"(?![\s\S])"

# Days that exist: a reader may hand any accepted time to a calendar without meeting an error there.
_YEAR = "(?!0000)[0-9]{4}"
_DAY = (
    f"{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?!0000)(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
)
_CLOCK = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"

Moment = Annotated[str, Meta(pattern=f"^(?:{_DAY}){_CLOCK}{_END}")]
"""An instant: RFC 3339, UTC, milliseconds."""

Time = Annotated[str, Meta(pattern=f"^(?:{_DAY})(?:{_CLOCK})?{_END}")]
"""An instant (as `Moment`) or a day (`YYYY-MM-DD`)."""

Hex32 = Annotated[str, Meta(pattern=f"^[0-9a-f]{{64}}{_END}")]
"""32 bytes in lower-case hex: key ids, leaf hashes, subject digests."""

HexId = Annotated[str, Meta(pattern=f"^[0-9a-f]{{32}}{_END}")]
"""A random 128-bit id in lower-case hex."""

Digest = Annotated[str, Meta(pattern=f"^sha256:[0-9a-f]{{64}}{_END}")]
"""`sha256:` and hex. Of persons, contacts and free text it is the salted digest of an erasable object."""

Ref = Annotated[str, Meta(pattern=f"^[a-z][a-z_]{{0,31}}:[0-9a-f]{{32}}{_END}")]
"""`<kind>:<header id of the statement that made the object>`."""

Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
"""A whole number of things, places or bytes."""

Decimal = Annotated[str, Meta(pattern=rf"^(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?{_END}", max_length=64)]
"""A rate or setting as a minimal decimal string: no sign, no exponent, no zero that could be left out."""

Number = (
    Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
    | Annotated[
        str,
        Meta(pattern=rf"^(?:(?:0|[1-9][0-9]*)\.[0-9]*[1-9]|9[0-9]{{15}}|[1-9][0-9]{{16,}}){_END}", max_length=64),
    ]
)
"""A measured amount: an integer, or the minimal decimal string of what no integer within 2^53-1 can say (`number`)."""

Label = Annotated[str, Meta(min_length=1, max_length=512, pattern=rf"^[^\u0000-\u001f\u007f]+{_END}")]
"""A name or short designation of a thing (never of a natural person): one line, no control characters."""

Token = Annotated[str, Meta(pattern=f"^[A-Za-z][A-Za-z0-9_.-]{{0,63}}{_END}", extra={"ascii": True})]
"""An identifier in a vocabulary that is not closed: a column, a split, a reason, the name of a parameter."""

Origin = Annotated[str, Meta(pattern=f"^[!-*,-~]{{1,255}}{_END}")]
"""The name of a registry's log: printable ASCII without space and plus, as C2SP checkpoints want it."""

_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?"

Vkey = Annotated[str, Meta(pattern=rf"^[!-*,-~]{{1,255}}\+[0-9a-f]{{8}}\+(?=[A-Za-z0-9]){_BASE64}{_END}", max_length=4096)]
"""A verifier key of a signed note: name, key hash and base64 of type and key, joined by plus signs."""

Base64 = Annotated[
    str,
    Meta(pattern=f"^{_BASE64}{_END}", min_length=4, max_length=4096),
]
"""Bytes in canonical padded base64: a raw public key. Its length says its algorithm (32 bytes: Ed25519)."""

Url = Annotated[str, Meta(pattern=f"^[a-z][a-z0-9+.-]*:[!-~]+{_END}", max_length=2048)]
"""An absolute URI."""

MediaType = Annotated[str, Meta(pattern=f"^[a-z]+/[!-:<-~]+(?:; ?[!-:<-~]+)*{_END}", max_length=255)]
"""A media type, such as `application/pdf`."""

Language = Annotated[str, Meta(pattern=f"^[a-z]{{2,3}}(?:-[A-Za-z0-9]{{2,8}})*{_END}", max_length=35)]
"""A BCP 47 language tag."""

Territory = Annotated[str, Meta(pattern=f"^[A-Z]{{2}}(?:-[A-Z0-9]{{1,3}})?{_END}")]
"""An ISO 3166 code of a country, of a part of one, or `EU`."""

Parameters = Annotated[
    dict[Token, bool | Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)] | Annotated[str, Meta(max_length=512)]],
    Meta(max_length=MAX_LIST),
]
"""Settings by name; amounts that are not integers are decimal strings."""

Counts = Annotated[dict[Token, Count], Meta(max_length=MAX_LIST)]
"""How many, by name."""

Listed = Annotated[tuple[T, ...], Meta(max_length=MAX_LIST)]
"""A list within a statement, possibly empty."""

Some = Annotated[tuple[T, ...], Meta(min_length=1, max_length=MAX_LIST)]
"""A list within a statement of at least one item."""


class Closed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The base of every statement struct: immutable, and a field that it does not know is refused."""


class ObjectList(Closed, frozen=True, kw_only=True):
    """A list that may grow: canonical JSON lines in the store.

    `digest` is over the object's bytes, `root` the RFC 6962 root over its lines without their newlines.
    """

    digest: Digest
    root: Digest
    count: Count


_SHA256_OF_NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

EMPTY_LIST = ObjectList(digest=_SHA256_OF_NOTHING, root=_SHA256_OF_NOTHING, count=0)
"""The list of no lines; RFC 6962 gives the empty tree the digest of no bytes."""


class Role(StrEnum):
    """What a key may sign as, from the entry that says so."""

    ADMIN = "admin"
    PRODUCER = "producer"
    TRAINER = "trainer"
    COMPLIANCE = "compliance"
    AUDITOR = "auditor"
    PROVIDER = "provider"
    REGISTRY = "registry"
    LOG = "log"


class AccessPath(StrEnum):
    """The way on which a model's outputs were obtained; terms attach to it, not to the model alone."""

    API = "api"
    WEIGHTS = "weights"
    ROUTER = "router"
    APP = "app"
    UNKNOWN = "unknown"


class Modality(StrEnum):
    """A kind of content."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    OTHER = "other"


class FlopMethod(StrEnum):
    """How an amount of compute was found."""

    MEASURED = "measured"
    HARDWARE = "hardware"
    ARCHITECTURE = "architecture"
    REPORTED = "reported"
    OTHER = "other"


def number(value: int | str | _Decimal) -> int | str:
    """The one form of an amount as `Number`: an integer where it is one within 2^53-1, else the minimal decimal string.

    Accepts an integer, a decimal, or the text of either, with exponent or not. Raises InvalidInput for a negative
    amount and for what is not a finite number.
    """
    text = decimal(value)
    return int(text) if "." not in text and int(text) <= MAX_INTEGER else text


def decimal(value: int | str | _Decimal) -> str:
    """The one form of a rate as `Decimal`: a minimal decimal string without exponent. Errors as for `number`."""
    try:
        if isinstance(value, float):  # typed out, but a float's exact value is never what was meant
            raise TypeError
        exact = _Decimal(value)
    except (InvalidOperation, ValueError, TypeError):
        raise InvalidInput(f"expected a decimal number, found {value!r}") from None
    if not exact.is_finite() or exact < 0:
        raise InvalidInput(f"expected a finite number of at least 0, found {value!r}")
    if abs(exact.adjusted()) >= 60 or len(exact.as_tuple().digits) > 60:
        raise InvalidInput(f"expected a number of at most 60 digits, found {value!r}")
    text = f"{exact.copy_abs():f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
