from collections.abc import Callable

import msgspec
import pytest

from inbond.ledger.keyring import Keyring
from inbond.ledger.keys import SigningKey
from inbond.ledger.replay import draft_of
from inbond.schemas.errors import NotPermitted
from tests.ledger.world import World, error_of, seqs


def at_each_size(world: World) -> list[Keyring]:
    """The keyring after each entry, folded from entry bytes alone."""
    keyrings = [Keyring()]
    for data in world.entries():
        keyrings.append(keyrings[-1].copy())
        keyrings[-1].apply(draft_of(data))
    return keyrings


def test_keys_hold_from_their_entry_to_their_revocation(world: World) -> None:
    key = world.key("second")
    id = key.public.fingerprint
    world.log.append([world.enrol(key), world.party("a", keys=[key]), world.revoke(key, suspect_from_seq=3)])
    before, enrolled, used, revoked = at_each_size(world)[2:6]
    assert before.signer(id, "2026") is None
    assert enrolled.signer(id, "2026") == used.signer(id, "2026")
    assert enrolled.keys[id].since == 2
    with pytest.raises(NotPermitted, match="revoked by entry 4"):
        revoked.signer(id, "2026")
    assert (revoked.keys[id].revoked, revoked.keys[id].suspect_from) == (4, 3)
    assert revoked == world.log.keyring


def test_genesis_gives_roles(world: World) -> None:
    keyring = at_each_size(world)[1]
    [admin], registry = world.admins, world.registry
    assert {id: state.roles for id, state in keyring.keys.items()} == {
        admin.public.fingerprint: {"admin"},
        registry.public.fingerprint: {"registry"},
    }
    assert {state.party for state in keyring.keys.values()} == {world.operator}
    assert keyring.log_keys == [world.log_key.verifier]
    assert keyring.origin == "example.org/log"


def test_one_key_may_be_admin_and_registry(make_world: Callable[..., World]) -> None:
    world = make_world()
    genesis = world.make_genesis(registry_key=world.admins[0].public.base64)
    world.log.close()
    other = world.folder.parent / "other"
    other.mkdir()
    log = type(world.log).create(other, genesis, world.log_key, world.rules)
    assert [state.roles for state in log.keyring.keys.values()] == [{"admin", "registry"}]
    log.close()


@pytest.mark.parametrize(
    ("limit", "time", "in_force"),
    [
        ("2026-03-01", "2026-03-01T23:59:59.999Z", True),
        ("2026-03-01", "2026-03-02T00:00:00.000Z", False),
        ("2026-03-01T10:00:00.000Z", "2026-03-01T10:00:00.000Z", True),
        ("2026-03-01T10:00:00.000Z", "2026-03-01T10:00:00.001Z", False),
    ],
)
def test_a_key_expires_after_the_time_it_names(world: World, limit: str, time: str, in_force: bool) -> None:
    key = world.key("second")
    world.log.append_one(world.enrol(key, not_after=limit))
    keyring = at_each_size(world)[-1]
    if in_force:
        assert keyring.signer(key.public.fingerprint, time) is not None
    else:
        with pytest.raises(NotPermitted, match=f"expired at {limit}"):
            keyring.signer(key.public.fingerprint, time)


def test_a_threshold_of_admins_signs_key_statements(make_world: Callable[..., World]) -> None:
    world = make_world(admins=3, threshold=2)
    one, two, three = world.admins
    new = [world.key(f"new-{i}") for i in range(4)]
    sent = [
        world.enrol(new[0], keys=[one, new[0]]),
        world.enrol(new[0], keys=[new[0], three, one]),
        world.enrol(new[1], keys=[one, new[0], new[1]]),  # a producer counts for nothing
        world.enrol(new[1], "admin", keys=[one, new[1]]),  # nor does the new admin itself
        world.enrol(new[1], "admin", keys=[two, one, new[1]]),
        world.enrol(new[2], keys=[new[1], two, new[2]]),
        world.revoke(one, keys=[new[1], two]),
        world.enrol(new[3], keys=[one, two, new[3]]),
        world.enrol(new[3], keys=[new[1], three, new[3]]),
    ]
    assert seqs(world.log.append(sent)) == [None, 2, None, None, 3, 4, 5, None, 6]


def test_roles_change_with_a_statement_by_admins_and_key(world: World) -> None:
    id = world.producer.public.fingerprint
    sent = [world.enrol(world.producer, "trainer"), world.enrol(world.producer, "auditor", keys=[world.producer])]
    assert seqs(world.log.append(sent)) == [2, None]
    state = world.log.keyring.keys[id]
    assert (state.roles, state.since) == ({"trainer"}, 1)


def test_a_second_revocation_can_widen_doubt_but_not_move_the_first(world: World) -> None:
    key = world.key("second")
    id = key.public.fingerprint
    world.log.append([world.enrol(key), world.revoke(key), world.revoke(key, suspect_from_seq=2), world.revoke(key)])
    state = world.log.keyring.keys[id]
    assert (state.revoked, state.suspect_from) == (3, 2)


def test_a_log_key_is_enrolled_by_admins_and_signs_no_statement(world: World) -> None:
    new = SigningKey.from_seed("example.org/log", bytes(31) + b"\1")
    body = world.key_body(new, "log")
    vkey = msgspec.structs.replace(body, public_key=msgspec.UNSET, vkey=new.verifier.format())
    both = msgspec.structs.replace(vkey, roles=("log", "producer"))
    world.log.signers.hold(new)
    assert seqs(world.log.append([world.key_statement(both, world.admins), world.key_statement(vkey, world.admins)])) == [None, 2]
    assert world.log.keyring.log_keys == [world.log_key.verifier, new.verifier]
    assert "is a log key" in error_of(world.log.append([world.enrol(new)])[0]).message
    assert "unknown key" in error_of(world.log.append([world.party("x", keys=[new])])[0]).message
