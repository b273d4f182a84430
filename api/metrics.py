"""What a server measures of itself, in the text format of Prometheus (0.0.4).

Labels have few values, none of which a client chooses: routes are templates, methods those that we know, outcomes the types of
our problems. What is a state (tree size, head age, witnesses) is read when somebody asks.
"""

from datetime import datetime
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from inbond.api.appending import Batched, Placed
from inbond.api.logs import METHODS, Seen
from inbond.api.state import State
from inbond.schemas.errors import InbondError

MEDIA_TYPE: Final = "text/plain; version=0.0.4"
"""The charset comes with every text."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """The measurements of one app, in a registry of their own. For many threads."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # OpenMetrics has them, this format not
        own = self._own = CollectorRegistry()
        self._appends = Counter("inbond_appends", "Statements that clients sent, by outcome.", ["outcome"], registry=own)
        self._sizes = Histogram("inbond_append_batch_size", "Statements in one transaction.", buckets=_SIZES, registry=own)
        self._commits = Histogram(
            "inbond_append_commit_seconds",
            "A batch from the writer's turn to its receipts, COMMIT included.",
            buckets=_SECONDS,
            registry=own,
        )
        self._waits = Histogram(
            "inbond_append_queue_seconds", "How long a statement waited for its batch.", buckets=_SECONDS, registry=own
        )
        self._requests = Counter(
            "inbond_requests", "Requests by method, route and status.", ["method", "route", "status"], registry=own
        )
        self._size = Gauge("inbond_tree_size", "Entries in the log.", registry=own)
        self._published = Gauge("inbond_published_size", "The size of the checkpoint that is shown.", registry=own)
        self._age = Gauge("inbond_head_age_seconds", "Since the time of the newest entry.", registry=own)
        self._behind = Gauge(
            "inbond_witness_lag_entries", "Entries since the largest head that it cosigned.", ["witness"], registry=own
        )
        self._cosigned = Gauge(
            "inbond_witness_cosigned_timestamp_seconds", "When it cosigned its largest head.", ["witness"], registry=own
        )
        self._helping = Gauge("inbond_witness_helping", "0 while it does not cosign when asked.", ["witness"], registry=own)

    def batch(self, done: Batched) -> None:
        """A batch went through the log, or failed as a whole."""
        self._sizes.observe(len(done.outcomes))
        self._commits.observe(done.seconds)
        for waited in done.waited:
            self._waits.observe(waited)
        for outcome in done.outcomes:
            self._appends.labels(_outcome(outcome)).inc()

    def request(self, seen: Seen, status: int) -> None:
        """A request was answered, or its client left (499)."""
        self._requests.labels(seen.method if seen.method in METHODS else "other", seen.route or "none", str(status)).inc()

    def text(self, state: State) -> bytes:
        """Everything, with the `state` as it is now."""
        self._size.set(state.tree_size)
        self._published.set(state.published)
        self._age.set(state.head_age)
        for each in state.witnesses:
            self._behind.labels(each.name).set(each.behind)
            self._helping.labels(each.name).set(each.helping)
            if each.at is not None:
                self._cosigned.labels(each.name).set(datetime.fromisoformat(each.at).timestamp())
        return generate_latest(self._own)


def _outcome(result: Placed | InbondError) -> str:
    if isinstance(result, Placed):
        return "duplicate" if result.duplicate else "recorded"
    return result.type.rpartition(":")[2]
