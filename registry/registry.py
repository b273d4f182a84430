"""The one object that people hold: a registry, opened, with everything that can be asked of it and put into it.

For example, in a training loop::

    with Registry.open("warehouse") as registry:
        for record in registry.pull("chat@1", student="acme/mini", run="first"):
            train(record.prompt, record.response)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inbond.ledger.export import Progress as LogProgress
from inbond.ledger.export import export, note_for
from inbond.ledger.highwater import state_folder
from inbond.ledger.rebuild import rebuild
from inbond.registry import (
    catalogue,
    checking,
    deciding,
    declaring,
    delivering,
    enrolling,
    recalling,
    rotating,
    versions,
)
from inbond.registry.home import OPERATOR_ROLES, Home, create
from inbond.registry.impact import Impact
from inbond.registry.learners import Learners
from inbond.registry.lineage import Answer
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.places.folder import FolderPlace
from inbond.registry.shares import Shares
from inbond.registry.terms.answers import Checked
from inbond.registry.tracing import Traced
from inbond.registry.training import runs
from inbond.registry.training.cursors import CURSORS, Cursors
from inbond.registry.words import word
from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import Role
from inbond.schemas.statements import RevocationReason

if TYPE_CHECKING:
    from inbond.registry.deriving import Derived
    from inbond.registry.disclosure.recording import Made
    from inbond.registry.disclosure.verifying import Verified
    from inbond.registry.importing import ImportResult, Progress
    from inbond.registry.proving import Proved
    from inbond.registry.shards.shard import Shard
    from inbond.registry.training.pulling import Pull


class Registry(OpenRegistry):
    """A registry in a folder or on a server. Methods that write need the keys of the roles they sign as; reading needs none."""

    @classmethod
    def open(
        cls,
        place: str | Path,
        *,
        accept_clock: bool = False,
        token: str | None = None,
        keys: str | Path | None = None,
        policy: str | Path | None = None,
        genesis: str | None = None,
    ) -> "Registry":
        """Open the registry in a folder, or the one that an http or https URL serves.

        For a server: `token` lets in, `keys` is the folder of your keys, `policy` the trust policy that its log is held to
        (its text, or a file's path as a Path), `genesis` the hex leaf hash of its entry 0. What is not given comes from the
        environment: INBOND_TOKEN or INBOND_TOKEN_FILE, INBOND_KEYS, INBOND_POLICY, INBOND_GENESIS.

        Raises NotFound for a folder without a registry.
        """
        if is_address(place):
            from inbond.registry.places.server import connect

            server = connect(str(place), token=token, keys=keys, policy=policy, genesis=genesis)
            return cls(server, server.keys, Cursors(state_folder() / server.genesis.hex() / CURSORS))
        if any(value is not None for value in (token, keys, policy, genesis)):
            raise InvalidInput(f"{place}: expected an http or https URL with a token, keys, policy or genesis, found a folder")
        return cls._of_folder(FolderPlace(Home.read(Path(place)), accept_clock=accept_clock))

    @classmethod
    def _of_folder(cls, place: FolderPlace) -> "Registry":
        return cls(place, place.keys, Cursors(place.folder / CURSORS))

    @classmethod
    def init(
        cls,
        folder: str | Path,
        origin: str,
        operator: str | None = None,
        database: str | None = None,
        *,
        admins: int = 1,
        threshold: int = 1,
        store: str | None = None,
    ) -> "Registry":
        """Make a registry with the operator's keys, one a role, and open it. `operator` is what people call the operator.

        With `database`, an address such as postgresql://user@host/name, its log lies there instead of in the folder; with
        `store`, s3://bucket/prefix, its objects. `threshold` of its `admins` have to sign what is said of keys later.
        """
        name = operator or origin.partition("/")[0]
        home = create(Path(folder), origin, name, database, admins=admins, threshold=threshold, store=store)
        registry = cls._of_folder(FolderPlace(home))
        for role in OPERATOR_ROLES:
            registry.add_key(role)
        return registry

    # -- who and what ------------------------------------------------------------------------------------------------------

    def add_key(self, role: str, party: str | None = None, public_name: str | None = None) -> Recorded:
        """Make a key for `role`, enrol it with the admins' keys at hand, and keep it under that role."""
        return enrolling.add_key(self, word(Role, role, "role"), party, public_name)

    def revoke_key(self, fingerprint: str, reason: str, suspect_from: int | None = None) -> Recorded:
        """Revoke a key, named by its fingerprint or the beginning of it."""
        return enrolling.revoke_key(self, fingerprint, reason, suspect_from)

    def rotate_log_key(
        self, kind: str = "ed25519", *, reason: str | None = None, suspect_from: int | None = None, out: Path | None = None
    ) -> rotating.Rotation:
        """Make a new log key and let it take over; see `rotating.rotate`. `kind` is ed25519 or ml-dsa-44."""
        why = None if reason is None else word(RevocationReason, reason, "reason")
        return rotating.rotate(self, rotating.type_of(kind), why, suspect_from, out)

    def add_party(self, name: str, facts: Mapping[str, Any] | None = None) -> Recorded:
        """Put a party on record, called `name`."""
        return catalogue.add_party(self, name, facts or {})

    def add_teacher(
        self, spec: str, *, facts: Mapping[str, Any] | None = None, create: bool = False, same_as: str | None = None
    ) -> Recorded:
        """Put the teacher `party/model@version` on record; `create` makes the party too where it is missing."""
        return catalogue.add_teacher(self, spec, facts or {}, create, same_as)

    def add_terms(self, text: bytes, *, party: str, title: str, effective: str, **options: Any) -> Recorded:
        """Archive a text of terms and put the document on record."""
        return catalogue.add_terms(self, text, party=party, title=title, effective=effective, **options)

    def add_student(self, name: str, *, initialised_from: Sequence[str] = (), facts: Mapping[str, Any] | None = None) -> Recorded:
        """Put the student `name@version` on record (version 1 unless given)."""
        return catalogue.add_student(self, name, initialised_from, facts or {})

    def release(self, student: str, weights: bytes | Path, **options: Any) -> Recorded:
        """Put the release of a student's weights on record; `weights` are hashed, not kept."""
        return catalogue.release(self, student, weights, **options)

    def ask(self, student: str, terms: str, grounds: str, until: str | None = None, **options: Any) -> Recorded:
        """Ask compliance whether `student` may learn from outputs under `terms`; see `deciding.ask`."""
        return deciding.ask(self, student, terms, grounds, until, **options)

    def rule(self, ask: str, ruling: str, grounds: str, until: str | None = None, **options: Any) -> Recorded:
        """Rule on an ask, with the compliance key; see `deciding.rule`."""
        return deciding.rule(self, ask, ruling, grounds, until, **options)

    def declare(
        self, ref: str, facts: Mapping[str, Any], *, correct: bool = False, reason: str | None = None
    ) -> declaring.Declaration:
        """Put facts about a thing on record that were not known when it was made; see `declaring.declare`."""
        return declaring.declare(self, ref, facts, correct=correct, reason=reason)

    def declare_shards(self, dataset: str, facts: Mapping[str, Any], **options: Any) -> list[declaring.Declaration]:
        """The same of every shard of a dataset version; see `declaring.declare_shards`."""
        return declaring.declare_shards(self, dataset, facts, **options)

    def recall(self, ref: str, *, reason: str, category: str, **options: Any) -> recalling.Recalled:
        """Withdraw a shard, rows of it, a dataset version, or all shards of a teacher; see `recalling.recall`."""
        return recalling.recall(self, ref, reason=reason, category=category, **options)

    def trim(self, dataset: str) -> versions.Version:
        """Put a version of a dataset on record without the rows that are withdrawn; see `versions.trim_dataset`."""
        return versions.trim_dataset(self, dataset)

    def lift_recall(self, ref: str, *, reason: str) -> recalling.Recalled:
        """Take a recall back, with the compliance key."""
        return recalling.lift(self, ref, reason=reason)

    # -- data --------------------------------------------------------------------------------------------------------------

    def import_files(
        self,
        format: str,
        files: Sequence[str | Path],
        *,
        teacher: str,
        dataset: str,
        progress: "Progress | None" = None,
        **options: Any,
    ) -> "ImportResult":
        """Import files of outputs of one teacher as shards and a dataset version; see `importing.import_files`."""
        from inbond.registry import importing  # with pyarrow, which few processes need

        return importing.import_files(self, format, files, teacher=teacher, dataset=dataset, progress=progress, **options)

    def check(self, datasets: Sequence[str], student: str) -> Checked:
        """Ask the gate without recording anything."""
        return deciding.check(self, datasets, student)

    def pull(self, *datasets: str, student: str, run: str, **options: Any) -> "Pull":
        """Read datasets into a run: an iterator of records, on record before they are yielded; see `pulling.Pull`."""
        from inbond.registry.training import pulling

        return pulling.pull(self, datasets, student=student, run=run, **options)

    def deliver(self, *datasets: str, student: str, run: str, folder: Path, **options: Any) -> delivering.Delivered:
        """Write datasets to a folder for a run, as a bundle that `inbond-verify` accepts or in another format.

        See `delivering.deliver_to_run`.
        """
        return delivering.deliver_to_run(self, datasets, student=student, run=run, folder=folder, **options)

    def export_dataset(self, dataset: str, folder: Path, **options: Any) -> delivering.Delivered:
        """Write one dataset version to a folder, as a bundle or in another format; the delivery is on record first.

        See `delivering.export_dataset`.
        """
        return delivering.export_dataset(self, dataset, folder, **options)

    def derive(self, source: str, name: str, **steps: Any) -> "Derived":
        """Put a dataset version on record that has some rows of another, of the same shards; see `deriving.derive`."""
        from inbond.registry import deriving  # with polars, which few processes need

        return deriving.derive(self, source, name, **steps)

    def prove_record(self, shard: str, row: int, *, under: str | None = None) -> "Proved":
        """Prove that a record is a row of a shard, without showing the others; see `proving.prove_record`."""
        from inbond.registry import proving  # with pyarrow, which few processes need

        return proving.prove_record(self, shard, row, under=under)

    def close_run(self, run: str, outcome: str | None = None, **options: Any) -> Recorded:
        """Close a run with its totals; its key signs nothing any more. See `runs.close`."""
        return runs.close(self, run, outcome, **options)

    # -- disclosure --------------------------------------------------------------------------------------------------------

    def report(self, student: str, template: str, folder: Path, **options: Any) -> "Made":
        """Make a report about a student, put it on record, and write its files; see `recording.make`."""
        from inbond.registry.disclosure import recording

        return recording.make(self, student, template, folder, **options)

    def verify_report(self, file: Path) -> "Verified":
        """Verify a report's file: its statement, every figure, every byte; see `verifying.verify`."""
        from inbond.registry.disclosure import verifying

        return verifying.verify(self, file)

    # -- questions ---------------------------------------------------------------------------------------------------------

    def lineage(self, ref: str, *, direction: str = "up", depth: int | None = None, as_of: int | None = None) -> Answer:
        """What a thing came from (`up`) or led to (`down`), over weights and outputs, as of a tree size."""
        return self.place.lineage(self.resolve(ref, size=as_of), direction, depth, as_of)

    def shares(self, student: str, *, as_of: int | None = None) -> Shares:
        """Whose outputs a student was given, stage by stage, with shares and their denominators."""
        return self.place.shares(self.resolve(student, "student", size=as_of), as_of)

    def learners(
        self,
        ref: str,
        *,
        since: str | None = None,
        until: str | None = None,
        clock: str = "consumed",
        as_of: int | None = None,
    ) -> Learners:
        """The students that learned from a teacher, or from any of a party's, by a clock; see `learners.Learners`."""
        start = self.resolve(ref, "teacher", "party", size=as_of)
        return self.place.learners(start, since=since, until=until, clock=clock, size=as_of)

    def impact(self, ref: str, *, as_of: int | None = None) -> Impact:
        """Whom and what a withdrawal of a shard, dataset or teacher reaches."""
        return self.place.impact(self.resolve(ref, "shard", "dataset", "teacher", size=as_of), as_of)

    def trace(self, record: str, *, as_of: int | None = None) -> Traced:
        """Where a record lies and whom it reached: `shard:ID:ROW`, or a record id."""
        return self.place.trace(record, as_of)

    def shard(self, ref: str, under: str | None = None) -> "Shard":
        """A shard to read from: its bytes verified against its statement. On a server it needs a grant or delivery, `under`."""
        from inbond.registry.shards.shard import Shard

        found = self.place.statement(self.resolve(ref, "shard"))
        return Shard(found, *self.place.shard_file(found.ref, found.body, under))

    def verify(self, ref: str | None = None, progress: "Progress | None" = None) -> checking.Checked:
        """Check one thing, or (in a folder) everything, against signatures and digests, from the bytes up."""
        return checking.verify(self, ref, progress)

    # -- a folder's own ----------------------------------------------------------------------------------------------------

    def export_log(self, folder: Path, progress: LogProgress | None = None, *, public: bool = False) -> int:
        """Write the checkpoint that is shown, tiles and entry bundles as static files; returns how many.

        What is `public` has no entries.
        """
        with self.reading() as reader:
            folder.mkdir(parents=True, exist_ok=True)
            note = note_for(reader, folder, self.local.published)
            return export(reader, folder, progress, note=note, public=public)

    def rebuild(self, progress: LogProgress | None = None) -> int:
        """Make the catalogue again from the entries; returns how many were read."""
        return rebuild(self.log, self.rules, progress)


def is_address(place: str | Path) -> bool:
    """Whether a registry's place is the address of a server."""
    return str(place).startswith(("http://", "https://"))
