"""A student that learned from everything that a summary asks about: own outputs, a judge, a third party's public set, users.

`tell` puts it on record; each thing can be left out, so that tests see what its absence does. Names of teachers, datasets
and sources are those that the figures of the report name.
"""

from typing import Any

from inbond.registry.operator import add_source, set_operator
from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from inbond.schemas.statement import digest_of
from tests.registry.world import SHARD_ROWS, World, messages

OPERATOR = {
    "sme": False,
    "code_of_practice_signatory": True,
    "eu_representative": {"na": "not_applicable_to_kind"},
    "opt_out_measures": {"text": "Sources are taken only where their robots.txt allows it.\n\nRequests are answered weekly."},
    "illegal_content_measures": {"text": "Hash lists are matched before training."},
    "policies": [{"name": "Copyright policy", "url": "https://lab.example/copyright", "digest": {"text": "policy"}}],
    "party": {"legal_name": "Lab Models GmbH", "domicile": "DE", "contact": "Training content desk\ncontent-desk@lab.example"},
}
CONTENT = {"modalities": ["text"], "types": ["dialogue", "source code"], "languages": ["en", "de", "ja"], "regions": ["Europe"]}
MARKET = {"value": True, "as_of": "2026-11-01"}
GENERATED = {"first": "2026-05-03", "last": "2026-08-20", "live": False}
OWN = {
    "created_by": "operator",
    "generated": GENERATED,
    "content": CONTENT,
    "processing": [{"step": "deduplicate", "tool": "minhash 2", "purpose": "fewer repeats", "removed": 4}],
    "flags": {
        name: {"value": name == "copyright", "tool": "scan 3", "date": "2026-09-01"}
        for name in ("personal", "consumer", "copyright", "trademark", "patent")
    },
}
CRAWLER = {"name": "labbot/2", "purpose": "questions for training", "behaviour": "obeys robots.txt; no logins, no paywalls"}


def tell(world: World) -> None:
    """Put everything on record: after it the Union's summary of lab/pupil lacks nothing."""
    registry = world.registry
    set_operator(registry, OPERATOR)
    sources(world)
    registry.declare(
        "acme/base@1", {"eu_market": MARKET, "summary": {"url": "https://acme.example/base-1", "checked": "2026-11-02"}}
    )
    registry.declare("acme/coder@2", {"eu_market": MARKET, "summary": {"checked": "2026-11-02"}})
    registry.declare(
        "beta/chat@1",
        {"eu_market": {"value": False, "as_of": "2026-11-01"}, "training_note": store(world, "Public web text until 2024.")},
    )
    prompts = [
        {"source": world.ref("user-prompts", "source"), "rows": 8, "category": "user", "in_training": True},
        {"source": world.ref("labbot-questions", "source"), "rows": 4, "category": "crawl", "in_training": True},
    ]
    for shard, *_ in world.parts("chat"):
        registry.declare(shard, {**OWN, "prompts": prompts})
    human = [{"source": world.ref("annotators", "source"), "rows": 10, "category": "human", "in_training": True}]
    for shard, *_ in world.parts("code"):
        registry.declare(shard, {**OWN, "prompts": human})
    public(world)
    judged(world)
    registry.add_terms(b"Do as you like.\n", party="beta", title="beta-licence", effective="2025-03-01")
    world.permit(world.ref("lab/pupil", "student"), world.ref("beta-licence"))
    for names, run, options in (
        (("chat", "code"), "lessons", {"segment": 16, "epochs": 2}),
        (("evals",), "more", {}),
        (("judged",), "likes", {"stage": "preference", "use_kind": "preference"}),
    ):
        for _ in registry.pull(*names, student="lab/pupil", run=run, **options):
            pass
        close(world, run)
    registry.release(
        "lab/pupil",
        b"weights",
        channels=("hub",),
        released="2026-10-01",
        facts={"eu_market": "2026-10-02", "continuous": False, "actual": {"name": "Pupil 1"}},
    )
    registry.declare("lab/pupil", {"purpose": "answering questions about software"})


def store(world: World, text: str) -> str:
    """The digest of a document that is in the store."""
    return f"sha256:{world.registry.store.put_bytes(text.encode())}"


def sources(world: World) -> None:
    """Users, a crawl, annotators."""
    registry = world.registry
    content = {"content": {**CONTENT, "types": ["questions"]}}
    user = {**content, "user_service": "Lab Assistant", "collected": {"from": "2026-01-10", "to": "2026-04-30", "live": False}}
    add_source(registry, "user-prompts", "user", user)
    domains = "".join(f"site{n}.example {900 - n}\n" for n in range(25))
    crawl = {**content, "collected": {"from": "2026-02-01", "to": "2026-02-28", "live": False}}
    add_source(registry, "labbot-questions", "crawl", {**crawl, "crawler": {**CRAWLER, "domains": {"text": domains}}})
    add_source(registry, "annotators", "human", {**content, "owner": "lab"})


def public(world: World, count: int = 6) -> None:
    """A third party's public outputs, as a dataset of their own."""
    facts = {
        "created_by": "third_party",
        "supplier": "vendor",
        "public": {"since": "2025-06-01", "url": "https://data.example/evals"},
        "content": {**CONTENT, "types": ["answers to test questions"], "languages": ["en"]},
        "generated": {"first": "2025-01-01", "last": "2025-05-31", "live": False},
        "processing": {"na": "not_applicable_to_kind"},
    }
    file = messages(world.folder.parent / "evals.jsonl", "evals", count)
    world.registry.import_files("messages", [file], teacher="beta/chat@1", dataset="evals", facts=facts, max_rows=SHARD_ROWS)


def judged(world: World, role: str = "judge", **changes: Any) -> str:
    """A dataset of a shard that one model wrote and another had a hand in."""
    first = world.parts("code")[0][0]
    body = world.body(world.registry.thing(first).newest)
    maker = s.ShardModel(teacher=world.ref("beta/chat@1"), role=s.ModelRole.RESPONSE, rows=unknown())
    hand = s.ShardModel(teacher=world.ref("acme/coder@2"), role=s.ModelRole(role), rows=known(int(body.rows)))
    fields: dict[str, Any] = {
        "models": (maker, hand),
        "import_identity": digest_of(["judged", role]),
        "tokens": known(s.Tokens(tokenizer=unknown(), prompt=known(70), response=known(130))),
    }
    shard = world.put("shard", world.changed(world.registry.thing(first).newest, **(fields | changes)), "producer")
    return world.dataset("judged", [(shard, 0, int(body.rows))])


def close(world: World, run: str) -> None:
    """Close a run whose inputs are all on record."""
    world.registry.close_run(run, "released", complete=True)
