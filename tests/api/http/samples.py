"""A request for every route of the API, about things that the operator's members may see."""

import json
from dataclasses import dataclass, field
from typing import Any

from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.registry import listing
from inbond.registry.places.paths import COLLECTIONS
from inbond.schemas import canonical, statement
from inbond.schemas.entry import Envelope
from tests.api.http.serving import Server


@dataclass
class Sample:
    """What to ask."""

    path: str
    options: dict[str, Any] = field(default_factory=dict)


LISTED = {
    "party": listing.ListedParty, "terms": listing.ListedTerms, "terms_fact": listing.ListedFact,
    "acceptance": listing.ListedAcceptance, "teacher": listing.ListedTeacher, "dataset": listing.ListedDataset,
    "shard": listing.ListedShard, "student": listing.ListedStudent,
    "run": listing.ListedRun, "grant": listing.ListedGrant, "consume": listing.ListedConsumption,
    "delivery": listing.ListedDelivery, "release": listing.ListedRelease, "decision": listing.ListedDecision,
}  # fmt: skip


def first(server: Server, kind: str) -> str | None:
    """The first thing of a kind that is on record."""
    if kind == "key":
        with server.world.registry.reading() as reader:
            _, data = next(iter(reader.entries(kinds=("key",))))
        return statement.read(dsse.payload_of(parse_entry(data).dsse)).ref
    what = LISTED.get(kind)
    items = server.world.registry.place.page(what).items if what else ()
    return str(items[0].ref) if items else None


def sample(server: Server, method: str, path: str) -> Sample:
    """A request for the route `method path`."""
    world = server.world
    kinds = {collection: kind for kind, collection in COLLECTIONS.items()}
    parts = path.split("/")
    query: dict[str, Any] = {}
    values: dict[str, str] = {}
    if "{id}" in path:
        values["id"] = (first(server, kinds[parts[2]]) or f"x:{'0' * 32}").partition(":")[2]
    if path == "/v1/keys/{fingerprint}":
        values["fingerprint"] = world.key("producer").public.fingerprint
    if "/ledger/tile" in path:
        values |= {"level": "0", "number": "000.p/5"}
    if "{seq}" in path:
        values["seq"] = "3"
    if path == "/v1/records/{record}":
        values["record"] = f"{world.parts('chat')[0][0]}:0"
    if path.startswith("/v1/imports"):
        values["identity"] = "sha256:" + "0" * 64
    if path.startswith("/v1/objects"):
        body = world.body(world.ref("chat", "dataset"))
        values["digest"] = body.parts.digest
        query = {"of": world.ref("chat", "dataset")} if method == "GET" else {}
    if path.endswith("/reports/{template}"):
        values["template"] = "eu-summary"
    if path == "/v1/ledger/consistency":
        query = {"old": 1, "new": 5}
    if path == "/v1/resolve":
        query = {"name": "lab/pupil"}
    if path == "/v1/things":
        query = {"ref": world.ref("lab/pupil", "student")}
    if path == "/v1/policy/check":
        query = {"student": world.ref("lab/pupil", "student"), "dataset": world.ref("chat", "dataset")}
    if path.endswith("/diff/{other}"):
        values["other"] = world.ref("lab-terms").partition(":")[2]
    if path.endswith("/doubled"):
        query = {"teacher": world.ref("acme/base@1"), "input": "sha256:" + "0" * 64}
    if path.endswith("/open"):
        query = {"student": world.ref("lab/pupil", "student"), "terms": world.ref("acme-terms")}
    if path == "/v1/shards/{id}/content":
        query = {"grant": first(server, "grant")}
    options: dict[str, Any] = {"params": query} if query else {}
    if method == "POST" and path == "/v1/deliveries":
        options["json"] = {"grant": first(server, "grant")}
    elif method == "POST" and path == "/v1/policy/release":
        student = world.ref("lab/pupil", "student")
        plan = json.loads(canonical.bytes_of(world.body(student).release_plan))
        options["json"] = {"student": student, "actual": plan, "at": "2026-11-20"}
    elif method == "POST" and path == "/v1/policy/dataset":
        parts = world.body(world.ref("chat", "dataset")).parts
        options["json"] = {"parts": json.loads(canonical.bytes_of(parts)), "at": "2026-11-20"}
    elif method == "POST" and path == "/v1/batches":
        options["json"] = {"statements": [_nonsense()]}
    elif method == "POST":
        options["json"] = _nonsense()
    if method == "PUT":
        options["content"] = b"other bytes than those of the digest"
    return Sample(path.format(**values), options)


def _nonsense() -> Any:
    return as_json(Envelope("e30=", "application/vnd.in-toto+json", ()))


def as_json(envelope: Envelope) -> Any:
    """An envelope as it is sent."""
    return json.loads(dsse.envelope_bytes(envelope))
