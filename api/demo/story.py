"""The demonstration: real (small) teachers, a student refused and then permitted, a second generation, and an outside check.

Everything goes the way a user's own work would: files are imported, terms archived, decisions recorded, records pulled by
a training loop. The registry that is left can be used with every command.
"""

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inbond.ledger.verify as verifier
from inbond.api.demo import corpus
from inbond.api.demo.model import STUDENT, Example, LanguageModel, Vocabulary
from inbond.api.demo.remote import Socket, served, token_for, trainer
from inbond.registry.delivering import export_everything
from inbond.registry.disclosure import recording, verifying
from inbond.registry.home import CONFIG, Home
from inbond.registry.lineage import Answer
from inbond.registry.registry import Registry
from inbond.schemas.errors import InbondError, PolicyDenied

ORIGIN = "demo.example/inbond"
REPORTS = "reports"
BASE_STEPS, ALIGNED_STEPS, EPOCHS, BATCH, SEGMENT = 160, 140, 7, 32, 220

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a progress bar (what, total) and gives what moves it on."""


@dataclass
class Told:
    """Where the story's output goes: `say` a step's heading, `show` its results, `bar` its progress."""

    say: Callable[[str], None]
    show: Callable[[str], None]
    bar: Bar


@dataclass
class Ended:
    """What the story leaves: how much of everything, and where."""

    records: int
    shards: int
    size: int
    folder: Path
    seconds: float

    @property
    def line(self) -> str:
        """The last line."""
        return f"demo: ok · {self.records} records · {self.shards} shards · ledger size {self.size}"


def run(folder: Path, told: Told) -> Ended:
    """Tell the story into a new registry at `folder`; raises the first thing that is not as it should be.

    A demo that was left there is replaced; anything else there is a Conflict.
    """
    started = time.monotonic()
    folder = folder.absolute()
    remove_demo(folder)
    work = folder.parent / f".{folder.name}.story"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with Registry.init(folder, ORIGIN, "demo-lab") as registry:
            _Story(registry, work, told).tell()
            ended = _ended(registry, started)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ended


def remove_demo(folder: Path) -> None:
    """Empty `folder` if it holds a registry of this origin; registry.toml goes last, so that what was cut short goes on."""
    try:
        if Home.read(folder).origin != ORIGIN:
            return
    except InbondError:
        return
    for each in sorted(folder.iterdir(), key=lambda path: path.name == CONFIG):
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()


class _Story:
    def __init__(self, registry: Registry, work: Path, told: Told) -> None:
        self.registry, self.work, self.told = registry, work, told
        self.say, self.show = told.say, told.show
        self.text = corpus.load()
        self.prompts = [prompt.text for prompt in self.text.prompts()]

    def tell(self) -> None:
        base, aligned = self.teachers()
        self.answers(base, aligned)
        self.refusal()
        student = self.student()
        self.teacher_again(student)
        with served(self.registry.folder, self.work / "server.log") as server:
            self.over_http(server)
            self.asked(server)
            self.withdrawal(server)
        self.lineage()
        self.reports()
        bundle = self.outside()
        self.flipped_byte(bundle)

    def teachers(self) -> tuple[LanguageModel, LanguageModel]:
        """A base model from statements, continued on question-answer pairs as the aligned one."""
        self.say("Training a teacher: a base model on statements, then aligned on question-answer pairs")
        base = LanguageModel(Vocabulary.of(self.text.texts()), seed=1)
        before, after = self.train(base, self.text.running_text(), BASE_STEPS, "base")
        self.show(f"base: {base.weight_count:,} weights, loss {before:.2f} → {after:.2f}")
        aligned = base.continued(seed=2)
        before, after = self.train(aligned, self.text.dialogue(), ALIGNED_STEPS, "aligned")
        self.show(f"aligned: loss {before:.2f} → {after:.2f}")
        return base, aligned

    def answers(self, base: LanguageModel, aligned: LanguageModel) -> None:
        """Both answer the prompts; the files are imported as a user's would be."""
        self.say(f"Both answer {len(self.prompts)} prompts; the answers are imported, signed and logged")
        self.registry.add_party("island-models")
        for name, model, alignment in (("base", base, "base"), ("aligned", aligned, "aligned")):
            spec = f"island-models/island-{name}@1"
            self.registry.add_teacher(spec, facts={"access_path": "weights", "pinned": True, "alignment": alignment})
            self.lesson(spec, f"answers-{name}", model)
        self.registry.add_terms(
            b"You may train your own models on what the island models write, if we say so for that model.\n",
            party="island-models",
            title="island-terms",
            effective="2026-01-01",
            access_path="weights",
        )
        self.show("terms archived: island-terms, in force from 2026-01-01")

    def refusal(self) -> None:
        """A student's pull is refused until compliance has ruled."""
        self.say("A student asks to learn from them, before anybody allowed it")
        self.registry.add_student("demo-lab/pupil")
        try:
            self.registry.pull("answers-base", "answers-aligned", student="demo-lab/pupil", run="first-lessons")
        except PolicyDenied as refused:
            self.show(f"refused: {refused.message}")
            self.show(f"what would settle it: {str(refused.hint).splitlines()[0]}")
        else:
            raise InbondError("the gate: expected a refusal before any decision, found it open")
        self.permit("demo-lab/pupil", "island-terms")

    def student(self) -> LanguageModel:
        """The pull feeds a real model whose loss falls; the run is closed, the weights are released."""
        self.say("Now the pull feeds a training loop; each segment is in the ledger before its first record is read")
        model, losses = self.learn(self.registry, "demo-lab/pupil", "first-lessons", ["answers-base", "answers-aligned"], seed=3)
        self.show("loss by epoch: " + " → ".join(f"{loss:.2f}" for loss in losses))
        question = self.prompts[0]
        self.show(f"asked {question!r}, the student says {model.answer(question)!r}")
        self.registry.close_run("first-lessons", "released")
        released = self.registry.release("demo-lab/pupil", model.to_bytes(), channels=("none",))
        self.show(f"released: entry {released.seq}")
        return model

    def teacher_again(self, model: LanguageModel) -> None:
        """The student becomes a teacher, whose answers a second student may learn from."""
        self.say("The student becomes a teacher: a second student may learn from its answers")
        spec = "demo-lab/pupil@1"
        self.registry.add_teacher(spec, facts={"access_path": "weights", "pinned": True}, same_as="demo-lab/pupil")
        self.lesson(spec, "answers-pupil", model)
        self.registry.add_terms(
            b"Our own models may learn from our own models when compliance agrees.\n",
            party="demo-lab",
            title="demo-lab-terms",
            effective="2026-01-01",
            access_path="weights",
        )
        self.registry.add_student("demo-lab/grandpupil")
        self.permit("demo-lab/grandpupil", "demo-lab-terms")

    def over_http(self, server: Socket) -> None:
        """The second student's trainer has a URL, a token, one key and a policy; every byte that comes is verified."""
        self.say(f"It trains over HTTP: a server of its own process at {server.address}, a trainer with a token, a key, a policy")
        with self.far(server) as registry:
            _, losses = self.learn(registry, "demo-lab/grandpupil", "second-lessons", ["answers-pupil"], seed=4)
            self.show("loss by epoch: " + " → ".join(f"{loss:.2f}" for loss in losses))
            closed = registry.close_run("second-lessons", "kept")
            self.show(f"run closed in entry {closed.seq}; its receipt was verified before the trainer heard of it")

    def asked(self, server: Socket) -> None:
        """The teachers' provider asks the socket who learned from them, and for the receipt of an entry that says so."""
        self.say("The provider of the first teachers asks the socket: who learned from our models?")
        token = token_for(self.registry, "island-models", "provider")
        party = self.registry.resolve("island-models", "party").partition(":")[2]
        answer = server.ask(f"/v1/parties/{party}/students?clock=consumed", token)
        names = answer["names"]  # a provider hears the names of what is its own; students are references to it
        for each in answer["students"]:
            how = "directly" if each["depth"] == 1 else f"over {each['depth']} steps"
            self.show(f"{each['student'][:20]}… from {names[each['teacher']]}, {how} ({each['basis']}, {each['first'][:10]})")
        expected = {self.registry.resolve(f"demo-lab/{name}", "student") for name in ("pupil", "grandpupil")}
        if (reached := {each["student"] for each in answer["students"]}) != expected:
            raise InbondError(
                f"who learned: expected {', '.join(sorted(expected))}, found {', '.join(sorted(reached)) or 'none'}"
            )
        run = self.registry.thing(self.registry.resolve("first-lessons", "run")).entry
        receipts = self.work / "receipts" / "receipts"
        receipts.mkdir(parents=True)
        auditor = token_for(self.registry, "demo-lab", "auditor")
        keys = {entry for key in server.ask("/v1/keys", auditor)["items"] for entry in key["entries"]}
        for entry in sorted({run, *keys}):  # whose keys signed it is on record as well
            (receipts / f"{entry}.tlog-proof").write_bytes(server.text(f"/v1/ledger/entries/{entry}/receipt", auditor))
        code, lines = self.verify(receipts.parent)
        if code != 0:
            raise InbondError(f"receipt: expected inbond-verify to accept it, found exit {code}: {lines[-1] if lines else ''}")
        self.show(f"entry {run}, which opened the first run, and the {len(keys)} that enrolled keys: {lines[-1]}")

    def withdrawal(self, server: Socket) -> None:
        """A shard is withdrawn; whoever asks to read it next is refused."""
        self.say("A shard is withdrawn: who was reached is listed, and nobody reads it again")
        dataset = self.registry.resolve("answers-pupil", "dataset")
        recalled = self.registry.recall(dataset, reason="demonstration: an answer was not ours to give", category="quality")
        kinds = Counter(each.kind for each in recalled.impact.affected)
        told = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in sorted(kinds.items()))
        self.show(f"recall in entry {recalled.recorded.seq} reaches {told}")
        with self.far(server) as registry:
            try:
                registry.pull("answers-pupil", student="demo-lab/grandpupil", run="third-lessons")
            except PolicyDenied as refused:
                self.show(f"refused: {refused.message}")
            else:
                raise InbondError("the gate: expected a refusal of withdrawn records, found it open")

    def far(self, server: Socket) -> Registry:
        """The registry as the trainer's machine has it: through the socket alone."""
        keys = self.work / "trainer"
        if not keys.exists():
            trainer(self.registry, keys)
        token = token_for(self.registry, "demo-lab", "trainer")
        return Registry.open(server.address, token=token, keys=keys, policy=self.registry.policy_text)

    def lineage(self) -> None:
        """Two hops up, from the ledger."""
        self.say("What did the second student learn from?")
        answer = self.registry.lineage("demo-lab/grandpupil")
        for line in told_hops(answer):
            self.show(line)
        teachers = answer.reached("teacher")
        if len(teachers) != 3:
            raise InbondError(f"lineage: expected three teachers over two hops, found {len(teachers)}")

    def reports(self) -> None:
        """Both disclosures of the first student, made from the ledger, and every figure computed again."""
        self.say("What must be disclosed about the first student? Two reports, made from the ledger alone")
        for template in ("eu-summary", "ca-ab2013"):
            made = recording.make(self.registry, "demo-lab/pupil", template, self.registry.folder / REPORTS / template)
            checked = verifying.verify(self.registry, made.files[1])
            if checked.verdict != "proved":
                raise InbondError(f"report {template}: expected it proved, found {'; '.join(checked.unchecked)}")
            missing = sum(gap.required for gap in made.report.gaps)
            self.show(f"{template}: entry {made.recorded.seq}, {missing} facts missing, each with the command that supplies it")
            self.show(f"  {made.files[1]}")

    def outside(self) -> Path:
        """Everything goes to a folder, which another process checks with the policy alone."""
        self.say("Everything is exported, and checked by inbond-verify in another process with the folder and a policy only")
        bundle = self.work / "bundle"
        export_everything(self.registry, bundle)
        code, lines = self.verify(bundle)
        if code != 0:
            raise InbondError(f"inbond-verify: expected exit 0, found {code}: {lines[-1] if lines else 'no output'}")
        self.show(lines[-1])
        return bundle

    def flipped_byte(self, bundle: Path) -> None:
        """One byte of one shard is changed in a copy."""
        self.say("One byte of one shard is flipped in a copy")
        copy = self.work / "tampered"
        shutil.copytree(bundle, copy)
        shard = sorted((copy / "shards").iterdir())[0]
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
        code, lines = self.verify(copy)
        if code != 3:
            raise InbondError(f"inbond-verify: expected exit 3 for a flipped byte, found {code}")
        self.show(next(line for line in lines if line.startswith("FAILED")))

    def train(self, model: LanguageModel, examples: Iterable[Example], steps: int, what: str) -> tuple[float, float]:
        with self.told.bar(f"training {what}", steps) as move:
            losses = model.train(tuple(examples), steps, on_step=lambda _step, _loss: move(1))
        return losses[0], sum(losses[-10:]) / 10

    def lesson(self, spec: str, dataset: str, model: LanguageModel) -> None:
        """Let a model answer the prompts, write a `messages` file, import it."""
        path = self.work / f"{dataset}.jsonl"
        with path.open("w") as file, self.told.bar(f"{spec} answers", len(self.prompts)) as move:
            for prompt in self.prompts:
                turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": model.answer(prompt)}]
                file.write(json.dumps({"messages": turns}) + "\n")
                move(1)
        facts: dict[str, Any] = {
            "created_by": "operator",
            "produced_for": "training",
            "sampling": {"temperature": 0, "max_tokens": 24, "other": {}},
        }
        found = self.registry.import_files("messages", [path], teacher=spec, dataset=dataset, facts=facts)
        self.show(f"{found.name}: {found.records} records of {spec}, {len(found.not_known)} facts recorded as not known")

    def permit(self, student: str, terms: str) -> None:
        """The trainer asks, compliance rules: two keys, two entries."""
        asked = self.registry.ask(student, terms, "demonstration: our own models, for teaching")
        ruled = self.registry.rule(asked.ref, "permit", "demonstration: nobody else is affected")
        self.show(f"asked in entry {asked.seq} by the trainer's key, permitted in entry {ruled.seq} by compliance's")

    def learn(
        self, registry: Registry, student: str, run: str, datasets: list[str], seed: int
    ) -> tuple[LanguageModel, list[float]]:
        """Pull epochs of records and train on each batch as it comes."""
        model: LanguageModel | None = None
        losses: list[float] = []
        for epoch in range(EPOCHS):
            pull = registry.pull(*datasets, student=student, run=run, epochs=epoch + 1, segment=SEGMENT)
            batch: list[Example] = []
            seen: list[Example] = []
            total, steps = 0.0, 0
            with self.told.bar(f"{run}, epoch {epoch + 1} of {EPOCHS}", len(pull)) as move:
                for record in pull:
                    example = Example((record.prompt or ())[-1].content, record.response)
                    seen.append(example)
                    batch.append(example)
                    move(1)
                    if model is not None and len(batch) == BATCH:
                        total, steps, batch = total + model.step(batch), steps + 1, []
            if model is None:
                model = LanguageModel(Vocabulary.of(text for example in seen for text in example), seed, STUDENT)
                for start in range(0, len(seen), BATCH):
                    total, steps = total + model.step(seen[start : start + BATCH]), steps + 1
            losses.append(total / steps)
        if model is None or losses[-1] > losses[0] / 2:
            raise InbondError(f"training: expected the loss to fall to less than half, found {losses}")
        return model, losses

    def verify(self, bundle: Path) -> tuple[int, list[str]]:
        """Run the verifier as a lone file in another process."""
        policy = self.work / "policy.txt"
        policy.write_text(self.registry.policy_text)
        lone = self.work / "inbond-verify.py"
        shutil.copyfile(verifier.__file__, lone)
        command = [sys.executable, "-I", str(lone), "--policy", str(policy), "--genesis", self.registry.log.genesis_leaf.hex()]
        done = subprocess.run([*command, bundle.name], cwd=self.work, capture_output=True, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).splitlines()


def told_hops(answer: Answer) -> list[str]:
    """The hops of a walk as lines."""
    lines = []
    for hop in answer.hops:
        rows = f", {hop.rows} rows" if hop.rows is not None else ""
        label = hop.relation.replace("_", " ")
        lines.append(f"{'  ' * (hop.depth - 1)}{answer.names[hop.src]} — {label} → {answer.names[hop.dst]} ({hop.basis}{rows})")
    return lines


def _ended(registry: Registry, started: float) -> Ended:
    checked = registry.verify()
    if checked.verdict != "proved":
        raise InbondError(f"verification: expected everything proved, found {checked.problems or checked.unchecked}")
    with registry.reading() as reader:
        size = reader.size
    return Ended(checked.records, checked.shards, size, registry.folder, time.monotonic() - started)
