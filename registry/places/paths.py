"""Where the HTTP API keeps what: the collection of each kind, and of each list."""

from inbond.registry import listing
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statement import split_ref

COLLECTIONS = {
    "party": "parties",
    "terms": "terms",
    "terms_fact": "facts",
    "acceptance": "acceptances",
    "teacher": "teachers",
    "dataset": "datasets",
    "shard": "shards",
    "student": "students",
    "run": "runs",
    "grant": "grants",
    "consume": "consumptions",
    "delivery": "deliveries",
    "release": "releases",
    "recall": "recalls",
    "decision": "decisions",
    "source": "sources",
    "key": "keys",
    "report": "reports",
    "operator": "operators",
}
"""The collection that holds what statements of a kind made, and takes such statements."""

LISTS: dict[type, str] = {
    listing.ListedParty: "parties",
    listing.ListedTeacher: "teachers",
    listing.ListedTerms: "terms",
    listing.ListedFact: "facts",
    listing.ListedAcceptance: "acceptances",
    listing.ListedDataset: "datasets",
    listing.ListedShard: "shards",
    listing.ListedStudent: "students",
    listing.ListedRun: "runs",
    listing.ListedGrant: "grants",
    listing.ListedConsumption: "consumptions",
    listing.ListedDelivery: "deliveries",
    listing.ListedRelease: "releases",
    listing.ListedRecall: "recalls",
    listing.ListedDecision: "decisions",
    listing.ListedSource: "sources",
    listing.ListedReport: "reports",
    listing.ListedOperator: "operators",
    listing.ListedKey: "keys",
}
"""The collection whose pages hold items of a class."""


def collection_of(kind: str) -> str:
    """The path of a kind's collection; InvalidInput for one that the API has none of."""
    if kind not in COLLECTIONS:
        raise InvalidInput(f"expected a kind that a server takes and gives ({', '.join(COLLECTIONS)}), found {kind!r}")
    return f"/v1/{COLLECTIONS[kind]}"


def path_of(ref: str, *kinds: str) -> str:
    """The path of what `ref` names, which must be of one of `kinds` where any are given."""
    kind, id = split_ref(ref)
    if kinds and kind not in kinds:
        raise InvalidInput(f"expected a {' or '.join(kinds)}, found {ref}")
    return f"{collection_of(kind)}/{id}"
