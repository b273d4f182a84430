"""What keeps a No from being said: questions of routing, prompts that nobody described, runs that may have read more.

A Yes needs one thing on record. A No needs everything: every shard routed, every prompt accounted for, every run closed with
inputs that are stated to be all. What is missing for that is listed once, under the field that it belongs to.
"""

from shlex import quote

from inbond.registry.disclosure.collected import ask_for
from inbond.registry.disclosure.document import yes_no
from inbond.registry.disclosure.facts import Facts, RunFacts
from inbond.registry.disclosure.routes import Open, Routes
from inbond.registry.disclosure.sheet import Sheet
from inbond.registry.disclosure.wording import count, is_missing, short

ROUTED = "2.5.a"
PROMPTS = "2.4.a"
WHOLE = "1.3.b"


class Openings:
    """What is open about a student's data, as far as it bears on the questions of section 2."""

    def __init__(self, sheet: Sheet, facts: Facts, routes: Routes) -> None:
        self.sheet, self.facts, self.routes = sheet, facts, routes
        self._unanswered: set[str] = set()
        self.unfinished = [run for run in facts.runs.values() if not run.complete]

    def ask(self) -> None:
        """Put everything that is open on the list of what is missing."""
        for question in self.routes.open:
            self._ask_route(question)
        for fact, text in (
            ("prompts", "where the prompts came from, and whether they were trained on"),
            ("prompts.in_training", "whether the prompts themselves were trained on"),
        ):
            shards = [self.facts.shards[ref] for ref in self.routes.unknown.get(fact, ())]
            ask_for(self.sheet, self.facts, PROMPTS, fact, [s for s in shards if is_missing(s.body.prompts) or "." in fact], text)
        for run in self.unfinished:
            self._ask_run(run)
        for ruling, ref, sections in self.routes.idle:
            said, settled = ", ".join(ruling.sections), ", ".join(sections)
            name = self.facts.ledger.name(ref)
            self.sheet.remarks.append((ROUTED, f"entry {ruling.ruled} rules {name} to {said}, but by the facts it is {settled}"))

    def question(self, id: str, yes: bool, *sections: str) -> bool:
        """Answer a question: Yes, or No where nothing is open that bears on `sections`; returns whether it is Yes."""
        reasons = self.reasons(*sections)
        if yes or not reasons:
            self.sheet.fill(id, yes_no(yes))
            if not yes:
                self.sheet.rest_on(id, "shards.declared", [shard.thing.entry for shard in self.facts.shards.values()])
                self.sheet.rest_on(id, "runs.closed", [run.closed.entry for run in self.facts.runs.values() if run.closed])
        else:
            self.sheet.unsettled(id, f"No cannot be said: {'; '.join(reasons)}")
            self._unanswered.add(id)
        return yes

    def skip(self, question: str, *ids: str) -> None:
        """Say of the fields that follow a question which is not answered with Yes why they are not filled."""
        for id in ids:
            if question in self._unanswered:
                self.sheet.unsettled(id, f"it depends on {question}")
            else:
                self.sheet.not_applicable(id, f"{question} is answered with No")

    def reasons(self, *sections: str) -> list[str]:
        """Why it cannot be said that nothing belongs to `sections`."""
        found = []
        content = {"2.1", "2.2.1", "2.2.2", "2.3", "2.5"}
        shards = {ref for question in self.routes.open if question.teacher is None for ref in question.shards}
        if shards and content & set(sections):
            found.append(f"the section of {count(len(shards), 'shard')} is open (see {ROUTED})")
        prompts = {ref for refs in self.routes.unknown.values() for ref in refs}
        if prompts:
            found.append(f"the prompts of {count(len(prompts), 'shard')} are not described (see {PROMPTS})")
        sources = [source for source in self.facts.sources.values() if source.in_training is None]
        if sources:
            found.append(f"whether {count(len(sources), 'source')} of prompts were trained on is not known (see {PROMPTS})")
        if self.unfinished:
            found.append(f"{count(len(self.unfinished), 'run')} may have read other data too (see {WHOLE})")
        return found

    def _ask_route(self, question: Open) -> None:
        name = self.facts.ledger.name(question.subject)
        about = f"{count(len(question.shards), 'shard')} of {name}" if question.subject.startswith("dataset:") else name
        if question.teacher:
            about = f"{self.facts.ledger.name(question.teacher)} in {about}"
        text = "the section that it belongs to: " + "; ".join(question.texts)
        self.sheet.missing(ROUTED, "decision route_section", about, text, self._command(question))
        for fact, path in (("created_by", "created_by"), ("(public)", "public")):
            if any(fact in text for text in question.texts):
                shards = [self.facts.shards[ref] for ref in question.shards if ref in self.facts.shards]
                missing = [shard for shard in shards if is_missing(getattr(shard.body, path)) or path == "created_by"]
                settles = "with it the rules settle the section; no decision is needed then"
                ask_for(self.sheet, self.facts, ROUTED, path, missing, settles, required=False)

    def _command(self, question: Open) -> str:
        if question.ask is not None:
            return f"inbond decide rule {question.ask.partition(':')[2][:12]} --section SECTION --grounds TEXT"
        student, subject = quote(self.facts.student.name), quote(self.facts.ledger.name(question.subject))
        model = f" --model {quote(self.facts.ledger.name(question.teacher))}" if question.teacher else ""
        return f"inbond decide rule --student {student} --about {subject}{model} --section SECTION --grounds TEXT"

    def _ask_run(self, run: RunFacts) -> None:
        text = "whether what is on record as given to it is all that it read (inputs_complete)"
        command = f"inbond run close {short(run.thing.ref)} --inputs-complete yes"
        if run.closed is None:
            text, command = f"it is open: {text}", f"{command} --outcome OUTCOME"
        elif run.complete is False:
            text, command = "what it read beside what is on record", f"{command} --input SOURCE=ROWS"
        self.sheet.missing(WHOLE, "inputs_complete", f"run {run.thing.name}", text, command)
