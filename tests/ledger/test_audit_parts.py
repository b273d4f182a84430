"""The parts of an audit, each against what it replaces or promises."""

import random
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import dsse, merkle, submission
from inbond.ledger.auditing.examining import Examine, Examined, Keys, examine
from inbond.ledger.auditing.heads import Heads, find_heads
from inbond.ledger.auditing.ids import HeaderIds
from inbond.ledger.auditing.tree import Tree
from inbond.ledger.auditing.workers import Workers
from inbond.ledger.entries import parse_entry
from inbond.ledger.keys import PublicKey
from inbond.ledger.tiles import tile_root, tiles_of, updated_tiles
from inbond.schemas import statement
from inbond.schemas.errors import InbondError, StoreError, VerificationError
from tests.ledger.world import ORIGIN, World, seen

LEAVES = [sha256(b"%d" % n).digest() for n in range(256 * 3 + 20)]


def looked_at(entries: list[bytes], first: int = 0, keys: Keys | None = None, *, signatures: bool = True) -> Examined:
    return examine(Examine(first, ORIGIN, entries, signatures, payloads=True), keys or Keys())


@pytest.fixture
def entries(world: World) -> list[bytes]:
    world.log.append([*world.parties(5), world.party("a", "b", keys=[world.producer, world.registry])])
    return world.entries()


def test_what_an_examination_finds(entries: list[bytes], world: World) -> None:
    found = looked_at(entries)
    parsed = [parse_entry(data) for data in entries]
    payloads = [dsse.payload_of(entry.dsse) for entry in parsed]
    statements = [statement.read(payload) for payload in payloads]
    leaves = [merkle.leaf_hash(data) for data in entries]
    assert (found.problem, found.count, found.first) == (None, len(entries), 0)
    assert found.leaves == b"".join(leaves)
    assert found.ids.hex() == "".join(each.header.id for each in statements)
    assert found.payloads == b"".join(sha256(payload).digest() for payload in payloads)
    assert found.kinds == [entry.kind for entry in parsed] == [each.kind for each in statements]
    assert (found.first_time, found.last_time) == (parsed[0].time, parsed[-1].time)
    assert found.prev == b"0" * 64
    assert found.unseen == [0]
    assert found.unverified == []
    assert found.signatures == sum(len(entry.dsse.signatures) for entry in parsed)
    assert {PublicKey(raw) for raw in found.keys} == {world.admins[0].public, world.registry.public, world.producer.public}
    by_index = {at: (group.kind, group.keyids) for group in found.groups for at in group.at}
    assert by_index == {
        at: (entry.kind, tuple(signature.keyid for signature in entry.dsse.signatures)) for at, entry in enumerate(parsed)
    }
    assert [(at, size, root) for at, size, root in found.seen] == [
        (at, int(each.header.seen.size), bytes.fromhex(each.header.seen.root.removeprefix("sha256:")))
        for at, each in enumerate(statements)
        if each.header.seen is not None and (at == 0 or each.header.seen != statements[at - 1].header.seen)
    ]


def test_without_the_keys_signatures_are_left_for_later(entries: list[bytes], world: World) -> None:
    later = looked_at(entries[2:], 2)
    assert (later.problem, later.count, later.unverified) == (None, 6, list(range(6)))
    keys = Keys()
    keys.add(world.producer.public)
    assert looked_at(entries[2:], 2, keys).unverified == [5]  # the one that another key signed too


def test_signatures_can_be_left_out(entries: list[bytes]) -> None:
    other = parse_entry(entries[3]).dsse.signatures[0].sig
    own = parse_entry(entries[2]).dsse.signatures[0].sig
    forged = [*entries[:2], entries[2].replace(own.encode(), other.encode())]
    assert looked_at(forged, signatures=False).problem is None
    assert "entry 2: envelope: expected a valid signature" in (looked_at(forged).problem or "")


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_an_altered_entry_is_taken_only_if_the_parsers_take_it(data: st.DataObject) -> None:
    """The examination has short ways of its own to an entry's members, one where it is like that before; none may be wider."""
    entries, after = _some_entries(), data.draw(st.booleans())
    original = entries[3]
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "swap"]))
    at = data.draw(st.integers(0, len(original) - 1))
    altered = bytearray(original)
    if kind == "flip":
        altered[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del altered[at : at + data.draw(st.integers(1, 40))]
    elif kind == "insert":
        altered[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    else:
        altered[at : at + 1] = data.draw(st.sampled_from([b'"', b"\\", b"=", b"+", b"0", b" ", b"}"]))
    found = looked_at([entries[2], bytes(altered)] if after else [bytes(altered)], 3 - after, signatures=False)
    try:
        entry = parse_entry(bytes(altered))
        read = statement.read(dsse.payload_of(entry.dsse))
        for signature in entry.dsse.signatures:
            assert len(signature.sig) == 88
        good = read.kind == entry.kind and entry.seq == 3 and read.header.registry == ORIGIN
        good = good and entry.dsse.payload_type == parse_entry(original).dsse.payload_type
    except (InbondError, AssertionError):
        good = False
    if found.problem is None:
        assert good
        assert (found.kinds[-1], found.count, found.last_time) == (entry.kind, 1 + after, entry.time)
        assert entry.prev == (merkle.leaf_hash(entries[2]).hex() if after else found.prev.decode())
    elif good:
        words = ["header.seen", "signature", "one signature of each key", *(["prev", "a time of"] if after else [])]
        assert any(word in found.problem for word in words)


def test_a_payload_has_one_form(world: World) -> None:
    """Base64 with other unused bits, or with a letter escaped, decodes to the same bytes."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    world.log.append([world.party("a" * size) for size in range(1, 4)])
    kept, padded = world.entries()[2:], set()
    for at, data in enumerate(kept):
        start = len(b'{"dsse":{"payload":"')
        end = data.index(b'"', start)
        text = data[start:end]
        bare = text.rstrip(b"=")
        padded.add(len(text) - len(bare))
        forms = [text[:9] + b"\\u%04x" % text[9] + text[10:]]
        if bare != text:
            forms.append(bare[:-1] + letters[letters.index(bare[-1:]) + 1 :][:1] + text[len(bare) :])
        for form in forms:
            other = data[:start] + form + data[end:]
            for before in (0, 1) if at else (0,):
                found = looked_at([*kept[at - before : at], other], 2 + at - before, signatures=False)
                assert (found.count, found.problem is None) == (before, False)
    assert padded == {0, 1, 2}


_kept: list[bytes] = []


def _some_entries() -> list[bytes]:
    if not _kept:
        import os
        import tempfile

        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setitem(os.environ, "INBOND_STATE", f"{folder}/state")
            world = World(Path(folder) / "log")
            world.log.append(world.parties(2))
            _kept.extend(world.entries())
            world.log.close()
    return _kept


# -- the tree ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 700, 788])
def test_the_tree_has_the_tiles_and_roots_of_the_log(size: int) -> None:
    expected: dict[tuple[int, int], bytes] = {}
    for level, n, data in updated_tiles(0, lambda level, n: expected[level, n], LEAVES[:size]):
        expected[level, n] = data
    tree = Tree()
    found: dict[tuple[int, int], bytes] = {}
    for start in range(0, size, 512):
        leaves = b"".join(LEAVES[start : min(size, start + 512)])
        roots = [tile_root(leaves[at : at + 8192]) for at in range(0, len(leaves) - 8191, 8192)]
        found |= {(level, n): data for level, n, data in tree.add(leaves, roots)}
    full = dict(found)
    found |= {(level, n): data for level, n, data in tree.unfinished()}
    assert found == expected
    assert {(name.level, name.n) for name in tiles_of(size) if name.width == 256} == set(full)
    assert tree.size == size
    assert tree.root() == merkle.root_of(LEAVES[:size])
    frontier = merkle.CompactRange()
    frontier.extend(LEAVES[:size])
    assert tree.frontier() == frontier.to_bytes()
    tiles = {n: b"".join(LEAVES[256 * n : 256 * n + 256]) for n in range(4)}
    for earlier in {1, *range(size, 0, -37)}:
        assert tree.root_at(earlier, tiles.__getitem__) == merkle.root_of(LEAVES[:earlier])
    again = Tree(tree.tops)
    assert (again.size, again.root()) == (size // 256 * 256, merkle.root_of(LEAVES[: size // 256 * 256]))


def test_a_tile_that_is_shown_again_has_to_be_the_same() -> None:
    tree = Tree()
    leaves = b"".join(LEAVES[:512])
    list(tree.add(leaves, [tile_root(leaves[:8192]), tile_root(leaves[8192:])]))
    assert tree.root_at(300, lambda n: leaves[8192 * n : 8192 * n + 8192]) == merkle.root_of(LEAVES[:300])
    other = Tree(tree.tops)
    with pytest.raises(VerificationError, match="tile 0/1: expected the hashes that it had before"):
        other.root_at(300, lambda n: bytes(8192))


def test_the_roots_of_many_sizes() -> None:
    tree = merkle.CompactRange()
    tree.extend(LEAVES[:256])
    task = Heads(256, list(tree.hashes), b"".join(LEAVES[256:512]), [257, 300, 511, 512], [], [], ORIGIN)
    assert find_heads(task).roots == {size: merkle.root_of(LEAVES[:size]) for size in (257, 300, 511, 512)}


# -- header ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [10_000, 64, 7])
def test_a_header_id_that_comes_twice_is_named(held: int) -> None:
    choose = random.Random(held)
    ids = [choose.randbytes(16) for _ in range(3000)]

    def added(ids: list[bytes]) -> None:
        with HeaderIds(held) as all:
            for start in range(0, len(ids), 100):
                all.add(b"".join(ids[start : start + 100]))
            all.finish()
            assert b"".join(all.blocks()) == b"".join(ids)

    added(ids)
    ids[2717] = ids[31]
    with pytest.raises(VerificationError, match="entry 2717: expected a header id of its own, found that of entry 31"):
        added(ids)


# -- workers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True], ids=["threads", "processes"])
def test_workers_do_what_the_function_does(entries: list[bytes], world: World, apart: bool) -> None:
    with Workers(2, apart=apart) as workers:
        first = workers.submit(Examine(0, ORIGIN, entries[:2], signatures=True, payloads=True)).result()
        assert first == looked_at(entries[:2])
        workers.learn(first.keys)
        rest = [workers.submit(Examine(2, ORIGIN, entries[2:], signatures=True, payloads=True)) for _ in range(6)]
        heads = workers.submit(Heads(0, [], first.leaves, [1, 2], [], [], ORIGIN))
        for each in rest:
            assert (each.result().problem, each.result().unverified) == (None, [])
        assert heads.result().roots == {
            1: world.genesis_leaf, 2: merkle.root_of([merkle.leaf_hash(data) for data in entries[:2]])
        }  # fmt: skip


def test_a_worker_that_dies_is_an_error(entries: list[bytes]) -> None:
    with Workers(1, apart=True) as workers:
        workers.submit(Examine(0, ORIGIN, entries[:2], signatures=True, payloads=True)).result()
        for process in workers._processes:
            process.kill()
        with pytest.raises(StoreError, match="a worker process of the audit has gone"):
            workers.submit(Examine(0, ORIGIN, entries[:2], signatures=True, payloads=True)).result()


def test_workers_end_with_the_audit_that_fails(entries: list[bytes]) -> None:
    workers = Workers(2, apart=True)
    with suppress(KeyboardInterrupt), workers:
        for _ in range(4):
            workers.submit(Examine(0, ORIGIN, entries, signatures=True, payloads=True))
        raise KeyboardInterrupt
    assert all(process._process.returncode is not None for process in workers._processes)


def test_a_size_that_the_signer_cannot_have_seen(entries: list[bytes], world: World) -> None:
    last = parse_entry(entries[-1])
    early = submission.prepare(world.party("early", seen=seen(9, bytes(32))), lambda _, __: None)
    placed = early.placed(merkle.leaf_hash(entries[-1]), len(entries), last.time)
    found = looked_at([*entries, placed])
    assert (found.count, found.problem) == (8, "entry 8: header.seen: expected a size from 1 to 8, found 9")
