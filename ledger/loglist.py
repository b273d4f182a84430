"""Lists of logs (C2SP tlog-list): which logs a witness knows, by which key, and how often each may ask.

    logs/v0
    vkey <vkey>
    [origin <origin>]      where it is not the key's name
    qpd <requests a day>
    contact <text>

and so on, a log after the other; blank lines and lines that begin with `#` are comments. `logs_of` reads a trust policy
(`tlog-policy`) for the same purpose.
"""

import re
from dataclasses import dataclass

from inbond.ledger.checkpoints import check_origin
from inbond.ledger.keys import ED25519, ML_DSA_44, VerifierKey
from inbond.ledger.policy import TrustPolicy
from inbond.schemas.errors import InvalidInput, VerificationError

MAX_LIST = 1 << 26
DEFAULT_QPD = 86_400  # a request a second

_QPD = re.compile("[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log whose checkpoints are cosigned if one of `keys` signed them, `qpd` steps a day at most."""

    origin: str
    keys: tuple[VerifierKey, ...]
    qpd: int = DEFAULT_QPD
    contact: str = ""


def parse(data: bytes) -> list[KnownLog]:
    """Read a tlog-list; InvalidInput, naming the line, for what its format does not allow."""
    if len(data) > MAX_LIST:
        raise InvalidInput(f"log list: expected at most {MAX_LIST} bytes, found {len(data)}")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"log list: expected UTF-8, found another byte at {error.start}") from None
    stripped = [(number, line.strip(" \t")) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, *line.partition(" ")[::2]) for number, line in stripped if line and not line.startswith("#")]
    if not lines or lines[0][1:] != ("logs/v0", ""):
        raise InvalidInput(f"log list: expected the line logs/v0 first, found {lines[0][1][:40] if lines else 'nothing'!r}")
    logs: dict[str, KnownLog] = {}
    at = 1
    while at < len(lines):
        first = lines[at][0]
        block = []
        for name in ("vkey", "origin", "qpd", "contact"):
            if at < len(lines) and lines[at][1] == name:
                block.append(lines[at][2])
                at += 1
            elif name == "origin":
                block.append("")
            else:
                found = lines[at][1][:40] if at < len(lines) else "the end"
                raise InvalidInput(f"log list, the log of line {first}: expected a line {name!r}, found {found!r}")
        try:
            log = _log(*block)
        except (InvalidInput, VerificationError) as error:
            raise InvalidInput(f"log list, the log of line {first}: {error.message}") from None
        if logs.setdefault(log.origin, log) is not log:
            raise InvalidInput(f"log list, the log of line {first}: expected each origin once, found {log.origin!r} again")
    return list(logs.values())


def logs_of(policy: TrustPolicy) -> list[KnownLog]:
    """The logs of a trust policy: lines with one name are keys of one log."""
    keys: dict[str, list[VerifierKey]] = {}
    for log in policy.logs:
        keys.setdefault(log.vkey.name, []).append(log.vkey)
    return [KnownLog(origin, tuple(found)) for origin, found in keys.items()]


def _log(vkey: str, origin: str, qpd: str, contact: str) -> KnownLog:
    key = VerifierKey.parse(vkey)
    if key.type not in (ED25519, ML_DSA_44):
        raise InvalidInput(f"expected a log's key, of type 01 or 06, found {key.name} of type {key.type:02x}")
    check_origin(origin or key.name)
    if not _QPD.fullmatch(qpd) or int(qpd) >= 1 << 31:
        raise InvalidInput(f"expected qpd as a number from 1 to 2^31-1, found {qpd[:40]!r}")
    return KnownLog(origin or key.name, (key,), int(qpd), contact)
