"""Audits of a registry's log: with its objects, without its catalogue, and by outsiders who have files alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inbond.ledger.audit import AuditReport, Memory, Options, audit_files
from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.keys import SigningKey
from inbond.ledger.published import FileSource, FolderFiles
from inbond.registry.signers import SignerRules
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.statements import Party
from tests.ledger.published import placed, publish
from tests.registry.world import World, consume_body


class OneByOne(SignerRules):
    """The same rules, asked about every statement."""

    plain = None


def entries(world: World) -> list[bytes]:
    with world.registry.reading() as reader:
        return [data for _, data in reader.entries()]


def audited(folder: Path, world: World, rules: SignerRules | None = None, memory: Memory | None = None) -> AuditReport:
    options = Options(genesis=world.registry.place.genesis, memory=memory)
    return audit_files(FileSource(FolderFiles(folder)), rules or SignerRules(), options)


def log_keys(world: World) -> list[LogSigner]:
    return world.registry.keys.log_keys()


def test_with_the_catalogue_without_it_and_from_files(lived: World, tmp_path: Path) -> None:
    whole = lived.registry.audit()
    alone = lived.registry.audit(catalogue=False)
    lived.registry.export_log(tmp_path / "out")
    outside = audited(tmp_path / "out", lived)
    assert [report.verdict for report in (whole, alone, outside)] == ["clean"] * 3, (whole, alone, outside)
    assert whole.size == alone.size == outside.size == lived.size()
    assert whole.signatures == alone.signatures == outside.signatures > whole.size
    assert whole.tables > alone.tables
    assert ("catalogue was left out" in alone.notes[0], whole.notes) == (True, [])
    assert audited(tmp_path / "out", lived, OneByOne()).verdict == "clean"


def _wrong_role(world: World) -> list[Envelope]:
    body = Party(legal_name=unknown(), aliases=("nobody",), domicile=unknown())
    return [world.signed("party", body, "producer")]


def _another_runs_key(world: World) -> list[Envelope]:
    one, _ = world.run(world.ref("lab/pupil"), "one", world.ref("chat"))
    _, other = world.run(world.ref("lab/pupil"), "two", world.ref("chat"))
    return [world.signed("consume", consume_body(one, None, 0, 1), other, party=world.registry.operator)]


def _a_run_without_its_key(world: World) -> list[Envelope]:
    key = SigningKey.generate("example.org/world/run")
    return [world.signed("run", world.run_body(world.ref("lab/pupil"), "bare", key, world.ref("chat")), "trainer")]


FORBIDDEN: dict[str, tuple[Callable[[World], list[Envelope]], str]] = {
    "a wrong role": (_wrong_role, "party statement: expected a signature in the role compliance, found one as producer"),
    "another run's key": (_another_runs_key, "consume statement: expected signatures by keys of this log, found unknown key"),
    "a run without its key": (_a_run_without_its_key, "run statement: expected a signature of its run key"),
}


@pytest.mark.parametrize("rules", [SignerRules, OneByOne])
@pytest.mark.parametrize("name", FORBIDDEN)
def test_outsiders_see_who_may_not_sign(world: World, tmp_path: Path, name: str, rules: type[SignerRules]) -> None:
    say, message = FORBIDDEN[name]
    said = say(world)
    before = entries(world)
    out = publish(tmp_path / "out", placed([*said, world.party("after")], before), log_keys(world))
    report = audited(out, world, rules())
    assert f"entry {len(before)} cannot stand in this log: {message}" in (report.problem or ""), report
    assert audited(publish(tmp_path / "good", before, log_keys(world)), world, rules()).verdict == "clean"


def test_runs_are_known_to_an_audit_that_goes_on(world: World, tmp_path: Path) -> None:
    """Which run has which key, and which is closed, is remembered with the rest."""
    student, chat = world.ref("lab/pupil"), world.ref("chat")
    run, key = world.run(student, "open", chat)
    ended, its = world.run(student, "ended", chat)
    operator = world.registry.operator
    before = entries(world)
    body = placed([world.party(f"party {number}") for number in range(512 - len(before))], before)
    out = publish(tmp_path / "out", body, log_keys(world))
    assert audited(out, world, memory=Memory()).verdict == "clean"
    segment = world.signed("consume", consume_body(run, None, 0, 1), key, party=operator)
    good = audited(publish(tmp_path / "good", placed([segment], body), log_keys(world)), world, memory=Memory())
    assert (good.verdict, good.resumed, good.signatures) == ("clean", 512, 1)
    swapped = world.signed("consume", consume_body(ended, None, 0, 1), key, party=operator)
    bad = audited(publish(tmp_path / "bad", placed([swapped], body), log_keys(world)), world, memory=Memory())
    assert "entry 512 cannot stand in this log: consume statement" in (bad.problem or "")
    again = world.signed("run", world.run_body(student, "again", its, chat), "trainer", its)
    twice = audited(publish(tmp_path / "twice", placed([again], body), log_keys(world)), world, memory=Memory())
    assert "which signs another run" in (twice.problem or "")
    assert twice.resumed == 512


def test_a_registry_is_audited_with_its_objects_from_where_it_was(lived: World) -> None:
    options = Options(memory=Memory())
    first, second = lived.registry.audit(options=options), lived.registry.audit(options=options)
    assert (first.verdict, second.verdict, second.tables) == ("clean", "clean", first.tables)
