import re

import pytest

from inbond.schemas.errors import InvalidInput
from inbond.schemas.kinds import KINDS, RUN, kind_of
from inbond.schemas.scalars import Role
from tests.schemas.examples import BODIES, digest

SIGNERS = """
genesis: admin
key: admin
party operator terms terms_fact acceptance report: compliance
teacher source shard dataset: producer
student run live_use release: trainer
grant delivery: registry
consume: run
recall erasure: producer trainer compliance
decision ack: admin producer trainer compliance auditor provider registry
"""


def test_who_may_sign_what():
    expected = {}
    for line in SIGNERS.split("\n")[1:-1]:
        kinds, roles = line.split(": ")
        expected |= {kind: frozenset(roles.split()) for kind in kinds.split()}
    assert {name: kind.roles for name, kind in KINDS.items()} == expected


def test_a_ruling_needs_compliance_and_an_ask_does_not():
    decision = KINDS["decision"]
    assert decision.roles_of(BODIES["decision.rule"]) == {Role.COMPLIANCE}
    assert Role.TRAINER in decision.roles_of(BODIES["decision.ask"])


def test_no_role_is_the_run_keys():
    assert RUN not in set(Role)


def test_subjects_are_the_objects_that_statements_are_about():
    objects = {"shard": "file", "dataset": "parts", "grant": "parts", "release": "weights", "report": "model"}
    objects |= {"recall": "targets", "erasure": "targets"}
    found = {name: kind.subject(BODIES[name]) for name, kind in KINDS.items() if kind.subject}
    assert found == {name: digest(word) for name, word in objects.items()}


def test_names_fit_references_and_entries():
    for name, kind in KINDS.items():
        assert re.fullmatch("[a-z_]{1,32}", name)
        assert kind.predicate_type == f"urn:inbond:{name}:v1"


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(InvalidInput, match=r"expected a kind of statement .*found 'shards'"):
        kind_of("shards")
