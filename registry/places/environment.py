"""What people set to reach a registry on a server: policy, token, and the genesis that they expect."""

import os
from pathlib import Path

from inbond.ledger.highwater import state_folder
from inbond.ledger.policy import TrustPolicy
from inbond.registry.objects import bare
from inbond.schemas.errors import InvalidInput


def policy_of(policy: str | Path | TrustPolicy | None) -> TrustPolicy:
    """A trust policy, given, as its text or in a file, else the one in the file that INBOND_POLICY names.

    Raises InvalidInput, which says how to get one, where there is none.
    """
    if isinstance(policy, TrustPolicy):
        return policy
    if isinstance(policy, str):
        return TrustPolicy.parse(policy)
    path = policy or os.environ.get("INBOND_POLICY")
    if not path:
        raise InvalidInput(
            "a registry on a server is read under a trust policy: expected INBOND_POLICY to name a tlog-policy file, found none",
            hint="ask the registry's operator for its policy.txt, on another way than from the server itself, then\n"
            "export INBOND_POLICY=FILE",
        )
    try:
        return TrustPolicy.parse(Path(path).read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path}: expected a trust policy, a tlog-policy file: {error.strerror}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}") from None


def pin_of(genesis: str | bytes | None) -> bytes | None:
    """The genesis leaf hash that is expected: given, else from INBOND_GENESIS, in hex; None where neither says one."""
    named = genesis if genesis is not None else os.environ.get("INBOND_GENESIS") or None
    return bytes.fromhex(bare(named)) if isinstance(named, str) else named


def folder_of_keys(keys: Path | str | None, genesis: bytes) -> Path:
    """The folder of key files: given, else INBOND_KEYS, else one beside what this machine remembers of the registry."""
    named = keys or os.environ.get("INBOND_KEYS")
    return Path(named) if named else state_folder() / genesis.hex() / "keys"


def token_at_hand() -> str | None:
    """The token in INBOND_TOKEN, or in the file that INBOND_TOKEN_FILE names; without one, public things alone are answered."""
    if token := os.environ.get("INBOND_TOKEN"):
        return token.strip()
    path = os.environ.get("INBOND_TOKEN_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InvalidInput(f"INBOND_TOKEN_FILE: expected a file with a token, found {path}: {reason}") from None
