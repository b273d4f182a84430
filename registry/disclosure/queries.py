"""The queries that figures and evidence name, each in a sentence that says how to ask it again."""

from types import MappingProxyType

QUERIES = MappingProxyType(
    {
        "given.rows": "distinct rows of shards that segments (consume) and deliveries gave to runs of the student",
        "given.samples": "samples that segments and deliveries gave to runs of the student, once for each time they were given",
        "given.tokens": "tokens of prompt and response of shards that were given whole, as their statements state them",
        "given.tokens_at_most": "tokens of prompt and response of shards that were given whole or in part, and those "
        "that sources state which runs read beside shards",
        "given.first": "the time of the first entry that gave a run of the student anything of a shard",
        "shares.rows": "rows given of shards that a teacher had a hand in, by stage, of all distinct rows given in that stage",
        "shares.samples": "samples given of shards that a teacher had a hand in, by stage, of all samples given in that stage",
        "shards.declared": "what the newest statements about the shards that were given declare",
        "shards.measured": "what the statements of the shards that were given state as measured",
        "sources.declared": "what the newest statements about sources declare that shards' prompts or runs' inputs name",
        "datasets.declared": "what the statements of the dataset versions declare that the runs read",
        "teachers.declared": "what the newest statements about the teachers declare",
        "student.declared": "what the newest statement about the student declares",
        "releases.declared": "what the newest statements about the student's releases state",
        "runs.opened": "what the openings of the student's runs state: stage, use, plan",
        "runs.closed": "what the closings of the student's runs state: inputs, and whether they are all",
        "grants.verdict": "the verdicts on each teacher in the newest grant of each run",
        "decisions.authorisation": "rulings of compliance that those verdicts rest on",
        "terms.applicable": "documents on record of the teacher's party whose models and access path fit the teacher",
        "decisions.route_section": "rulings in force on the section that a shard, dataset or source belongs to, for the student",
        "operator.declared": "what the newest operator statement of the provider's party declares",
        "party.declared": "what the newest statement about a party declares",
        "reports.earlier": "earlier report statements about the student with this template and profile",
        "head.time": "the time of the last of the first tree_size entries",
        "ancestry.weights": "models that the student's weights start from, as the student's statement declares them",
        "weights.declared": "what the newest statements about models declare that the student starts from",
    }
)

CLAIMS = frozenset(name for name in QUERIES if name.endswith(".declared")) | {"ancestry.weights"}
"""Queries for what somebody's word is: the others find what the ledger has on record as done or measured."""
