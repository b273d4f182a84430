"""Rows that are not written yet: a statement is judged as if they were."""

import pytest
from sqlalchemy import Connection

from inbond.ledger import dsse
from inbond.ledger.batch import Appended
from inbond.ledger.rules import Draft
from inbond.registry import admission, projection
from inbond.registry.rules import RegistryRules
from inbond.schemas import statement
from inbond.schemas import statements as s
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InvalidInput, PolicyDenied
from inbond.schemas.kinds import KINDS
from tests.registry.world import World


class LateRules(RegistryRules):
    """Refuses a party by name when its rows are made."""

    def project(self, connection: Connection, draft: Draft) -> None:
        super().project(connection, draft)
        if isinstance(draft.body, s.Party) and "too late" in draft.body.aliases:
            raise PolicyDenied("expected another name")


def test_a_party_may_stand_just_before_what_it_is_alleged_to_say(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its rows are not written yet; and not if it was taken back, whatever had been noted of it."""
    monkeypatch.setattr(world.registry.log, "rules", LateRules(world.registry.store))

    def said_by(ref: str) -> Envelope:
        return world.signed("party", body, "compliance", party=ref, basis=s.Basis.ALLEGED)

    body = s.Party(legal_name=unknown(), aliases=("said",), domicile=unknown())
    fine, late = world.party("fine"), world.party("too late")
    refs = [statement.read(dsse.payload_of(each)).ref for each in (fine, late)]
    found = world.send(said_by(refs[0]), fine, said_by(refs[0]), late, said_by(refs[1]), said_by(refs[0]))
    size = world.size()
    assert [result.seq if isinstance(result, Appended) else type(result) for result in found] == [
        InvalidInput, size - 3, size - 2, PolicyDenied, InvalidInput, size - 1,
    ]  # fmt: skip
    world.check()


def test_kinds_that_ask_nothing_have_no_rows_that_might() -> None:
    quiet = [kind for kind, check in admission._CHECKS.items() if check is admission._anything]
    assert quiet == ["party", "source"]
    assert not [body for kind in quiet for body in KINDS[kind].bodies if body in projection._ROWS]
