"""policy.txt: the trust policy (C2SP tlog-policy) that a registry publishes, and how it follows the log's keys.

It trusts the log's Ed25519 keys, the newest first; replaced ones stay in it, so that receipts from before keep verifying,
revoked ones do not. The ML-DSA-44 key stands in a comment: who wants both signatures lists it as a witness in an `all` group,
and everybody else can read the log without a library that has ML-DSA.
"""

from inbond.ledger.keys import ED25519, ML_DSA_44, VerifierKey
from inbond.ledger.logkeys import LogKeys
from inbond.ledger.policy import TrustedLog, TrustPolicy
from inbond.schemas.errors import InvalidInput, VerificationError

_BOTH = """# The log signs with ML-DSA-44 too. To want both signatures, put these three lines in the place of "quorum none":
# witness ml-dsa-44 {vkey}
# group both all ml-dsa-44
# quorum both
"""


def policy_text(keys: LogKeys) -> bytes:
    """What policy.txt holds, byte for byte, unless somebody has changed it: trust in this log's keys."""
    text = TrustPolicy(logs=tuple(TrustedLog(key) for key in trusted(keys))).format()
    comment = "".join(_BOTH.format(vkey=key.format()) for key in keys.current(ML_DSA_44)[:1])
    *logs, quorum = text.splitlines(keepends=True)
    return "".join([*logs, comment, quorum]).encode()


def trusted(keys: LogKeys) -> list[VerifierKey]:
    """The Ed25519 keys whose checkpoints count: those that are not revoked, the newest first."""
    kept = [key for key in keys.since if key.type == ED25519 and key not in keys.until]
    return sorted(kept, key=lambda key: -keys.since[key])


def updated(text: bytes, before: LogKeys, after: LogKeys) -> bytes:
    """The policy in `text`, which fitted the keys `before`, for the keys `after`; what else people wrote into it stays.

    Raises InvalidInput for a text that is no policy.
    """
    if text == policy_text(before):
        return policy_text(after)
    TrustPolicy.parse(text)
    replaced = {key.format(): _successor(key, after) for key in before.current(ML_DSA_44)}
    new = [key.format() for key in trusted(after)]
    lines: list[str] = []
    for line in text.decode().split("\n"):
        words = line.split()
        if words[:1] == ["log"] and _key_in(words[1]) in after.since:
            lines += [" ".join(["log", vkey, *words[2:]]) for vkey in new]
            new = []
            continue
        for old, vkey in replaced.items():
            line = line.replace(old, vkey)
        lines.append(line)
    data = "\n".join(lines).encode()
    TrustPolicy.parse(data)
    return data


def _successor(key: VerifierKey, after: LogKeys) -> str:
    newest = after.current(key.type)
    return newest[0].format() if newest else key.format()


def _key_in(text: str) -> VerifierKey | None:
    try:
        return VerifierKey.parse(text)
    except (InvalidInput, VerificationError):
        return None
