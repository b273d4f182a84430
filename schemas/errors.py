"""The one tree of errors that a person or a client meets.

Every class owns the problem type (RFC 9457 `type`, a URN that never changes), the title, the HTTP status and the
exit code of the command line. Parsers anywhere in inbond leak nothing but these.
"""

from typing import Any, ClassVar


class InbondError(Exception):
    """Something inbond can explain.

    `message` names the object, what was expected and what was found. `hint` is the next command or step, when there
    is one. Further keyword arguments are machine-readable members of the problem (strings, integers, lists).
    """

    type: ClassVar[str] = "urn:inbond:problem:unexpected"
    title: ClassVar[str] = "Unexpected error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, **members: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.members = members


class InvalidInput(InbondError):
    """Input that cannot be accepted as it stands."""

    type = "urn:inbond:problem:invalid-input"
    title = "Invalid input"
    status = 400
    exit_code = 2


class VerificationError(InbondError):
    """Bytes, a signature or a proof that do not verify."""

    type = "urn:inbond:problem:verification-failed"
    title = "Verification failed"
    status = 422
    exit_code = 3


class NotPermitted(InbondError):
    """The signer or caller lacks the right: unknown or revoked key, wrong role, another party's object."""

    type = "urn:inbond:problem:not-permitted"
    title = "Not permitted"
    status = 403
    exit_code = 4


class Unauthenticated(NotPermitted):
    """Who calls is not known: no token, or one that is unknown, expired or revoked."""

    type = "urn:inbond:problem:unauthenticated"
    title = "Unauthenticated"
    status = 401


class PolicyDenied(InbondError):
    """The gate stays closed: a rule refuses, or cannot decide."""

    type = "urn:inbond:problem:policy-denied"
    title = "Refused by policy"
    status = 403
    exit_code = 5


class Inconclusive(InbondError):
    """What was asked can be neither proved nor disproved with what is at hand."""

    type = "urn:inbond:problem:inconclusive"
    title = "Inconclusive"
    status = 503
    exit_code = 6


class NotFound(InbondError):
    """A thing that was named does not exist here."""

    type = "urn:inbond:problem:not-found"
    title = "Not found"
    status = 404
    exit_code = 7


class Conflict(InbondError):
    """A thing exists already and differs from what was sent."""

    type = "urn:inbond:problem:conflict"
    title = "Conflict"
    status = 409
    exit_code = 8


class StoreError(InbondError):
    """The database, the file system or the object store failed or is in a state in which we refuse to write."""

    type = "urn:inbond:problem:store-failed"
    title = "Store failed"
    status = 503
    exit_code = 1
