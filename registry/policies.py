"""policy.txt: the trust policy (C2SP tlog-policy) that a registry publishes, and how it follows the log's keys.

It trusts the log's Ed25519 keys, the newest first; replaced ones stay in it, so that receipts from before keep verifying,
revoked ones do not. The ML-DSA-44 key stands in a comment: who wants both signatures lists it as a witness in an `all` group,
and everybody else can read the log without a library that has ML-DSA.
"""

from inbond.ledger.keys import ED25519, ML_DSA_44, VerifierKey
from inbond.ledger.logkeys import LogKeys
from inbond.ledger.policy import TrustedLog, TrustPolicy

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


def updated(text: bytes, keys: LogKeys) -> bytes:
    """The policy in `text`, made for this log at some earlier time, for its `keys` now; what people wrote into it stays.

    Raises InvalidInput for a text that is no policy.
    """
    changes = sorted({*keys.since.values(), *keys.until.values()})
    if any(text == policy_text(keys.at(seq + 1)) for seq in changes):
        return policy_text(keys)
    TrustPolicy.parse(text)
    ours = [key for key in keys.since if key.type == ED25519]
    newest = {key.format() for key in keys.current(ML_DSA_44)}
    replaced = {key.format() for key in keys.since if key.type == ML_DSA_44} - newest
    new = [key.format() for key in trusted(keys)]
    lines: list[str] = []
    for line in text.decode().split("\n"):
        words = line.split()
        if words[:1] == ["log"] and VerifierKey.parse(words[1]) in ours:
            lines += [" ".join(["log", vkey, *words[2:]]) for vkey in new]
            new = []
            continue
        for old in replaced if newest else ():
            line = line.replace(old, min(newest))
        lines.append(line)
    data = "\n".join(lines).encode()
    TrustPolicy.parse(data)
    return data
