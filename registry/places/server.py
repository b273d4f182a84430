"""A registry behind HTTP, asked by somebody who believes nothing that can be checked.

Statements, and whatever stands under a signature or a digest, are proved on this machine before they are returned: see
`trust`. Answers that are computed (lists, lineage, shares …) are the server's word about a tree size that is proved to
exist; what in them names a statement can be looked up and checked, that they leave nothing out cannot.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar, cast

from inbond.ledger.keyring import KeyState
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.receipts import Receipt
from inbond.registry.impact import Impact
from inbond.registry.keychain import Keychain
from inbond.registry.learners import Learners
from inbond.registry.lineage import Answer
from inbond.registry.mentions import references
from inbond.registry.objects import ObjectSink, bare, compare, lines_of
from inbond.registry.paging import AS_OF, filters_of, places, size_in
from inbond.registry.place import ImportedShard, Page, Recorded, RunState, Thing
from inbond.registry.places import forms
from inbond.registry.places.answers import Answers, as_of
from inbond.registry.places.environment import folder_of_keys, pin_of, policy_of, token_at_hand
from inbond.registry.places.exposure import check_inputs
from inbond.registry.places.finding import AT_ONCE, find, things
from inbond.registry.places.paths import LISTS, path_of
from inbond.registry.places.recording import Recording
from inbond.registry.places.remote_file import RemoteFile
from inbond.registry.places.remote_objects import RemoteObjects
from inbond.registry.places.server_terms import ServerTerms
from inbond.registry.places.transport import Transport
from inbond.registry.places.trust import Trust
from inbond.registry.shards.blocks import BLOCK, HASH_BYTES
from inbond.registry.shares import Shares
from inbond.registry.signers import authorised
from inbond.registry.terms.answers import Checked
from inbond.registry.tracing import Traced
from inbond.schemas import canonical
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, InvalidInput, NotFound, VerificationError
from inbond.schemas.kinds import RUN
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statement import Statement, digest_of
from inbond.schemas.statements import Consume, Extent, RunOpen, Seen, Shard

L = TypeVar("L")

MAX_OBJECT = 256 << 20
"""The longest object that is read into memory: lists and texts, never a shard's file."""

_RECORD = re.compile(r"[0-9a-f]{64}|shard:[0-9a-f]{32}:[0-9]{1,15}")
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST_PAGE = 1000


def connect(
    url: str,
    token: str | None = None,
    keys: Path | str | None = None,
    policy: str | Path | TrustPolicy | None = None,
    genesis: str | bytes | None = None,
) -> "ServerPlace":
    """The registry that is served at `url`, with the keys in the folder `keys`; `policy` is its text, a file, or read already.

    What is not given comes from the environment: INBOND_TOKEN, or the file that INBOND_TOKEN_FILE names; INBOND_KEYS, a
    folder; INBOND_POLICY, a file; INBOND_GENESIS, hex. Raises InvalidInput without a policy: what a server says is worth
    nothing without a key to check it by.
    """
    trusted, pin = policy_of(policy), pin_of(genesis)
    transport = Transport(url, token_at_hand() if token is None else token)
    try:
        trust = Trust(transport, trusted, pin)
        return ServerPlace(transport, trusted, trust, Keychain(folder_of_keys(keys, trust.genesis)))
    except BaseException:
        transport.close()
        raise


class ServerPlace:
    """A `Place` on a server: the same questions, their answers checked as far as cryptography goes.

    May be used from several threads, and after a fork. Raises VerificationError, saying what was expected and found, for
    every answer that does not verify; nothing of it is returned.
    """

    def __init__(self, transport: Transport, policy: TrustPolicy, trust: Trust, keys: Keychain) -> None:
        self._transport, self._trust, self.keys = transport, trust, keys
        self._recording, self._answers = Recording(transport, trust), Answers(transport, trust)
        self.terms = ServerTerms(self._answers)
        self._tokens: dict[tuple[Any, ...], str] = {}  # by list, filters and place: what the server calls it
        self.address, self.origin, self.genesis, self.operator = transport.address, trust.origin, trust.genesis, trust.operator
        self.policy_text = policy.format()
        self.objects: ObjectSink = RemoteObjects(transport)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the log -----------------------------------------------------------------------------------------------------------

    def head(self) -> Seen:
        """The newest head: signed as the policy wants, and consistent with every head that this machine has seen."""
        head = self._trust.heads.newest()
        return Seen(size=head.size, root=f"sha256:{head.root.hex()}")

    def append(self, envelopes: Sequence[Envelope]) -> list[Recorded | InbondError]:
        """Put statements on record, one after the other; each receipt shows the very statement under a trusted head."""
        return [self._recording.append(envelope) for envelope in envelopes]

    def statement(self, ref: str) -> Statement:
        """The statement that made a thing: its receipt, its signatures and the roles of its signers were checked."""
        return self._trust.made(ref).statement

    def remarks(self) -> list[str]:
        """What must be said of all answers so far: that witnesses have not cosigned what they rest on."""
        found = self._trust.heads.remark()
        return [] if found is None else [found]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `old` is how that of `new` begins; not verified."""
        return list(self._trust.consistency(old, new))

    def receipt(self, seq: int, size: int | None = None) -> Receipt:
        """The receipt of an entry under the head of `size`, or the one that the server shows; checked, but for witnesses."""
        return self._trust.receipt(seq, size)

    def key(self, fingerprint: str) -> KeyState | None:
        """An enrolled key, as the key entries say that the server shows; it could keep a revocation back."""
        return self._trust.key(fingerprint)

    # -- things ------------------------------------------------------------------------------------------------------------

    def find(self, text: str, *kinds: str, size: int | None = None) -> str:
        """The reference that `text` names, by the server's word; the thing's own statement must say so too."""
        return find(self._transport, self._trust, text, kinds, size)

    def things(self, refs: Iterable[str]) -> dict[str, Thing]:
        """What the server says of each reference that is on record."""
        return things(self._transport, refs)

    def page(self, what: type[L], after: int = -1, limit: int = 100, **wanted: str) -> Page:
        """Items of one of the classes of `listing`; see `Place.page`."""
        if what not in LISTS:
            raise InvalidInput(f"expected a class of listing, found {what.__name__}")
        if strange := sorted(set(wanted) - set(filters_of(what))):
            raise InvalidInput(f"page: expected filters among {', '.join(filters_of(what))}, found {', '.join(strange)}")
        filters, size = sorted(wanted.items()), size_in(wanted)
        place = (what, *filters)
        token = self._tokens.get((*place, after))
        if after >= 0 and token is None:
            return self._page_from_the_start(what, after, limit, wanted)
        params = [("limit", str(limit)), *([("after", token)] if token else [])]
        params += [each for each in filters if each[0] != AS_OF]
        found: forms.Listed[Any] = self._answers.asked(f"/v1/{LISTS[what]}", forms.Listed[what], params, size)  # type: ignore[valid-type]
        at = places(what, found.items, after)
        if any(each <= after for each in at) or (found.next is not None and not at):
            raise VerificationError(f"{LISTS[what]}: expected items of entries after {after}, found earlier ones or none")
        if found.next is None:
            return Page(tuple(found.items), None, found.tree_size, found.names)
        self._tokens[(*place, at[-1])] = found.next
        return Page(tuple(found.items), at[-1], found.tree_size, found.names)

    def _page_from_the_start(self, what: type[L], after: int, limit: int, wanted: Mapping[str, str]) -> Page:
        """A page that goes on from a place at which no page of this object's ended."""
        start, page = -1, self.page(what, -1, _LONGEST_PAGE, **wanted)
        while page.next is not None and page.next <= after:
            start, page = page.next, self.page(what, page.next, _LONGEST_PAGE, **wanted)
        later = [pair for pair in zip(places(what, page.items, start), page.items, strict=True) if pair[0] > after]
        here = later[:limit]
        items = tuple(item for _, item in here)
        names = {ref: page.names[ref] for ref in references(items) & page.names.keys()}
        return Page(
            items, here[-1][0] if here and (page.next is not None or len(here) < len(later)) else None, page.tree_size, names
        )

    # -- bytes -------------------------------------------------------------------------------------------------------------

    def object(self, digest: str, of: str) -> bytes:
        """The bytes of an object that the statement `of` names, hashed before they are returned."""
        data = self._transport.get(f"/v1/objects/{bare(digest)}", [("of", of)], limit=MAX_OBJECT)
        compare(digest, data)
        return data

    def lines(self, named: ObjectList, of: str) -> list[Any]:
        """The lines of a list that the statement `of` names; digest, root and count checked."""
        return lines_of(self.object(named.digest, of), named)

    def shard_file(self, ref: str, body: Shard, under: str | None) -> tuple[BinaryIO, bytes]:
        """The shard's file, read by ranges under a grant or a delivery, and its joined block hashes: neither is verified yet."""
        kind = (under or "").partition(":")[0]
        if under is None or kind not in ("grant", "delivery"):
            raise InvalidInput(
                f"{ref}: expected a grant or a delivery under which its bytes may leave the server, found {under or 'none'}",
                hint="inbond pull reads it for a run",
            )
        path, size, etag = f"{path_of(ref, 'shard')}/content", int(body.size), f'"sha256-{bare(body.file)}"'
        params = [(kind, under)]
        joined = self._transport.get(f"{path_of(ref)}/blocks", limit=-(-size // BLOCK) * HASH_BYTES)

        def fetch(first: int, last: int, unwanted: Callable[[], bool]) -> bytes:
            return self._transport.piece(path, params, (first, last), size, etag, unwanted)

        return cast(BinaryIO, RemoteFile(fetch, size)), joined

    # -- what imports and pulls ask ----------------------------------------------------------------------------------------

    def imported(self, identity: str) -> dict[int, ImportedShard]:
        """The shards of an import that are on record, by ordinal; each one's statement says that it is."""
        found = self._transport.json(f"/v1/imports/{identity}", forms.Imported).shards
        for ordinal, shard in found.items():
            body = self.statement(shard.ref).body
            stated = (body.import_identity, body.ordinal, body.rows) if isinstance(body, Shard) else ()
            if stated != (identity, ordinal, shard.rows):
                raise VerificationError(
                    f"{shard.ref}: expected shard {ordinal} of import {identity}, found that it says {stated}"
                )
        return found

    def doubled(self, dataset: str, teacher: str, inputs: Sequence[str]) -> list[str]:
        """The shards in a dataset version with records of any of these input digests and this teacher, by the server's word."""
        path, found = f"{path_of(dataset, 'dataset')}/doubled", set[str]()
        for at in range(0, len(inputs), AT_ONCE):
            params = [("teacher", teacher), *(("input", digest) for digest in inputs[at : at + AT_ONCE])]
            found.update(self._transport.json(path, forms.Doubled, params).shards)
        return sorted(found)

    def run(self, run: str) -> RunState:
        """A run by reference. What statements say is checked; that no segment is newer, or the run not closed, cannot be."""
        made = self._trust.made(run)
        if not isinstance(made.body, RunOpen):
            raise NotFound(f"{run} is not the statement that opened a run", hint="inbond run list")
        found = self._transport.json(f"{path_of(run)}/state", RunState)
        body, sources = made.body, tuple((source.dataset, source.split) for source in made.body.plan.sources)
        stated = (run, body.name, body.student, authorised(made).party, digest_of(body.plan), sources)
        if (found.ref, found.name, found.student, found.owner, found.plan, found.sources) != stated:
            raise VerificationError(f"{run}: expected a state that says what its statement says, {stated}, found {found}")
        if found.keyid not in {signer.keyid for signer in made.signers if not signer.roles - {RUN}}:
            raise VerificationError(f"{run}: expected the key that its statement brings, found {found.keyid}")
        if found.newest is not None:
            segment, newest = self.statement(found.newest.ref).body, found.newest
            if not isinstance(segment, Consume) or (run, newest.sequence, newest.epoch, newest.first, newest.last) != (
                segment.run, segment.sequence, segment.epoch, segment.first, segment.last,
            ):  # fmt: skip
                raise VerificationError(f"{run}: expected its newest segment as its statement says, found {newest}")
        return found

    def inputs(self, run: str) -> dict[str, int]:
        """How many distinct rows of each shard a run was given: as its segments say, which are proved; see `exposure`."""
        newest = self.run(run).newest
        found = self._transport.json(f"{path_of(run, 'run')}/inputs", forms.Inputs).rows
        check_inputs(self._trust, self.lines, run, None if newest is None else newest.ref, found)
        return found

    def check(self, student: str, datasets: Sequence[str], split: str | None = None) -> Checked:
        """What the gate says now of a student and the rows of datasets; nothing is recorded."""
        who = self._answers.ref(student, "student")
        params = [("student", who), *(("dataset", self._answers.ref(dataset, "dataset")) for dataset in datasets)]
        params += [] if split is None else [("split", split)]
        return self._answers.about(who, "student", "/v1/policy/check", Checked, params)

    def grant(self, request: Envelope) -> Recorded:
        """Have a request evaluated and granted; the grant must be the registry's, of this request, and fit the run."""
        return self._recording.grant(request)

    def deliver(
        self,
        *,
        grant: str | None = None,
        object: str | None = None,
        recipient: str | None = None,
        extent: Extent | None = None,
    ) -> list[Recorded]:
        """Have deliveries recorded; each must be the registry's, of what was asked for."""
        if (grant is None) == (object is None) or (grant is not None and (recipient is not None or extent is not None)):
            raise InvalidInput(
                "deliver: expected either a grant, or an object with its recipient and extent, found neither or both"
            )
        return self._recording.deliver(grant, object, recipient, extent)

    # -- questions ---------------------------------------------------------------------------------------------------------

    def lineage(self, ref: str, direction: str = "up", depth: int | None = None, size: int | None = None) -> Answer:
        """What a thing came from, or led to; see `lineage.walk`."""
        start = self._answers.ref(ref, size=size)
        params = [("direction", direction), *([] if depth is None else [("depth", str(depth))])]
        return self._answers.about(start, "start", f"{path_of(start)}/lineage", Answer, params, size)

    def shares(self, student: str, size: int | None = None) -> Shares:
        """Whose outputs a student was given; see `shares.shares_of`."""
        start = self._answers.ref(student, "student", size=size)
        return self._answers.about(start, "student", f"{path_of(start)}/teachers", Shares, [], size)

    def learners(
        self, ref: str, *, since: str | None = None, until: str | None = None, clock: str = "consumed", size: int | None = None
    ) -> Learners:
        """The students that learned from a teacher, or from any of a party's; see `learners.learners_of`."""
        start = self._answers.ref(ref, "teacher", "party", size=size)
        given = {"since": since, "until": until, "clock": clock}
        params = [(name, value) for name, value in given.items() if value is not None]
        return self._answers.about(start, "about", f"{path_of(start)}/students", Learners, params, size)

    def impact(self, ref: str, size: int | None = None) -> Impact:
        """Whom and what a withdrawal reaches; see `impact.impact_of`."""
        start = self._answers.ref(ref, "shard", "dataset", "teacher", "recall", size=size)
        return self._answers.about(start, "about", f"{path_of(start)}/impact", Impact, [], size)

    def trace(self, record: str, size: int | None = None) -> Traced:
        """Where a record lies and whom it reached; see `tracing.trace`."""
        if _RECORD.fullmatch(record) is None:
            raise InvalidInput(f"expected a record id of 64 hex digits, or shard:ID:ROW, found {record[:120]!r}")
        return self._answers.about(record, "record", f"/v1/records/{record}", Traced, [], size)

    def report_model(self, student: str, template: str, options: Mapping[str, Any], size: int | None = None) -> bytes:
        """The report model of a student at a tree size: canonical JSON, by the server's word."""
        if _NAME.fullmatch(template) is None:
            raise InvalidInput(f"expected the id of a template, found {template[:80]!r}")
        path = f"{path_of(self._answers.ref(student, 'student', size=size))}/reports/{template}"
        data = self._transport.get(path, [*((name, str(value)) for name, value in sorted(options.items())), *as_of(size)])
        try:
            canonical.decode(data, what="report model")
        except InvalidInput as error:
            raise VerificationError(f"the server's answer to {path}: {error.message}") from None
        return data
