"""What a server may be told: limits and waits. The defaults are those of `inbond serve`."""

from dataclasses import dataclass

from inbond.ledger.witnessing import EVERY


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits in bytes, waits in seconds."""

    max_body: int = 128 * 1024
    """The longest JSON body: an envelope holds at most 64 KiB."""

    max_upload: int = 8 << 30
    """The largest object that may be put."""

    body_wait: float = 30.0
    """How long a JSON body may take, and how long an upload may pause."""

    token_wait: float = 2.0
    """How long a token is believed before it is looked up again: a revocation works within that time."""

    max_waiting: int = 4096
    """Statements that may wait for the log; more are answered with 503."""

    public_entries: bool = False
    """Whether everybody may read every entry, as a public log; else auditors, and whoever may see its statement."""

    witness_every: float = EVERY
    """The least time between two rounds with one witness."""

    threads: int = 16
    """Threads that answer questions."""
