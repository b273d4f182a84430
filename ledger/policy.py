"""Trust policies (C2SP tlog-policy): which logs a reader accepts, and whose cosignatures a checkpoint needs.

The file is made of lines: `log <vkey> [url]`, `witness <name> <vkey> [url]`, `group <name> all|any|<k> <member>…`, and
exactly one `quorum <name>|none`; `#` begins a comment line. It is a configuration that people write, so spacing and
comments are free: `format` writes one form of what `parse` has read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from inbond.ledger import checkpoints, notes
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.cosignatures import NO_ML_DSA
from inbond.ledger.keys import COSIGNATURE_V1, ED25519, ML_DSA_44, VerifierKey
from inbond.schemas.errors import InvalidInput, VerificationError

MAX_POLICY = 1 << 20
NO_QUORUM = "none"

_LOG_TYPES = (ED25519, ML_DSA_44)
_WITNESS_TYPES = (COSIGNATURE_V1, ML_DSA_44)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_DECIMAL = re.compile("[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """A log whose checkpoints are accepted; the key's name is the log's origin."""

    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A cosigner, under the name that groups and the quorum use."""

    name: str
    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Named witnesses and groups, of which at least `threshold` must have cosigned."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """What a reader chose to trust. Groups stand after what they name; `quorum` is a name or `none`."""

    logs: tuple[TrustedLog, ...]
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NO_QUORUM

    @classmethod
    def parse(cls, text: str | bytes) -> "TrustPolicy":
        """Read a policy file (UTF-8).

        Raises InvalidInput, naming the line, for what the format does not allow: unknown lines, keys of a type that
        does not fit, a key or name defined twice, a name used before its definition or in two groups, no quorum.
        """
        return _Reader().read(text)

    def format(self) -> str:
        """The policy as a file that `parse` reads back as an equal policy; InvalidInput where there is none."""
        lines = [_line("log", log.vkey.format(), log.url) for log in self.logs]
        lines += [_line("witness", witness.name, witness.vkey.format(), witness.url) for witness in self.witnesses]
        for group in self.groups:
            lines.append(_line("group", group.name, str(group.threshold), *group.members))
        text = "".join(line + "\n" for line in [*lines, _line("quorum", self.quorum)])
        if TrustPolicy.parse(text) != self:
            raise InvalidInput(f"expected a policy that its file can hold, found one that reads as {text[:200]!r}")
        return text

    def open_checkpoint(self, data: bytes) -> Checkpoint:
        """The checkpoint in a signed note, if one of the logs signed it and the quorum is met.

        Raises VerificationError if not, and if a signature of any log or witness of this policy fails. Where the library
        has no ML-DSA-44, such signatures are left out, and a quorum that needs one is not met.
        """
        if not any(log.vkey.supported for log in self.logs):
            raise VerificationError("policy: expected a log with a key that can be used here, found none" + self._unsupported())
        keys = [log.vkey for log in self.logs] + [witness.vkey for witness in self.witnesses]
        note, signers = notes.open_note(data, [key for key in keys if key.supported])
        checkpoint = checkpoints.parse(note.text)
        if not any(log.vkey in signers and log.vkey.name == checkpoint.origin for log in self.logs):
            wanted = ", ".join(log.vkey.name for log in self.logs)
            raise VerificationError(
                f"checkpoint: expected one that a log of the policy ({wanted}) signed for itself, "
                f"found origin {checkpoint.origin!r} signed by {', '.join(key.name for key in signers)}" + self._unsupported()
            )
        witnessed = self._witnessed(signers)
        if self.quorum != NO_QUORUM and self.quorum not in witnessed:
            raise VerificationError(
                f"checkpoint of {checkpoint.origin} at size {checkpoint.size}: expected cosignatures that meet the "
                f"quorum {self.quorum!r}, found {', '.join(sorted(witnessed)) or 'none'}" + self._unsupported()
            )
        return checkpoint

    def _witnessed(self, signers: Sequence[VerifierKey]) -> set[str]:
        witnessed = {witness.name for witness in self.witnesses if witness.vkey in signers}
        for group in self.groups:  # in order, so what a group names is decided before it
            if len(witnessed.intersection(group.members)) >= group.threshold:
                witnessed.add(group.name)
        return witnessed

    def _unsupported(self) -> str:
        names = [log.vkey.name for log in self.logs if not log.vkey.supported]
        names += [witness.name for witness in self.witnesses if not witness.vkey.supported]
        return f"; {NO_ML_DSA}; left out: {', '.join(names)}" if names else ""


@dataclass(slots=True)
class _Reader:
    logs: list[TrustedLog] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    free: set[str] = field(default_factory=set)  # names that no group has as a member yet
    names: set[str] = field(default_factory=lambda: {NO_QUORUM})

    def read(self, text: str | bytes) -> TrustPolicy:
        if len(text) > MAX_POLICY:
            raise InvalidInput(f"policy: expected at most {MAX_POLICY} bytes, found {len(text)}")
        if isinstance(text, bytes):
            try:
                text = text.decode()
            except UnicodeDecodeError as error:
                raise InvalidInput(f"policy: expected UTF-8, found another byte at {error.start}") from None
        for number, line in enumerate(text.split("\n"), 1):
            try:
                self._read_line(line)
            except (InvalidInput, VerificationError) as error:
                raise InvalidInput(f"policy line {number}: {error.message}") from None
        if self.quorum is None:
            raise InvalidInput("policy: expected one line 'quorum <name>' or 'quorum none', found none")
        return TrustPolicy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def _read_line(self, line: str) -> None:
        control = _CONTROLS.search(line)
        if control is not None or any("\ud800" <= c <= "\udfff" for c in line):
            raise InvalidInput(f"expected no control characters but tabs and newlines, found {line[:80]!r}")
        items = [item for item in re.split("[ \t]+", line) if item]
        match items:
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case ["log", vkey] | ["log", vkey, _]:
                key = self._key(vkey, _LOG_TYPES, [log.vkey for log in self.logs])
                self.logs.append(TrustedLog(key, *items[2:]))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                key = self._key(vkey, _WITNESS_TYPES, [witness.vkey for witness in self.witnesses])
                self._define(name)
                self.witnesses.append(Witness(name, key, *items[3:]))
            case ["group", name, threshold, *members] if members:
                self._add_group(name, threshold, members)
            case ["quorum", name]:
                if self.quorum is not None:
                    raise InvalidInput(f"expected one quorum line, found another one for {name!r}")
                if name not in self.names:
                    raise InvalidInput(f"expected a quorum of a name defined above, found {name!r}")
                self.quorum = name
            case _:
                raise InvalidInput(
                    "expected 'log <vkey> [url]', 'witness <name> <vkey> [url]', 'group <name> all|any|<k> <member>…' "
                    f"or 'quorum <name>', found {line[:80]!r}"
                )

    def _key(self, text: str, types: tuple[int, ...], others: list[VerifierKey]) -> VerifierKey:
        key = VerifierKey.parse(text)
        if key.type not in types:
            wanted = " or ".join(f"{type:02x}" for type in types)
            raise InvalidInput(f"expected a key of type {wanted}, found {key.name} of type {key.type:02x}")
        if any(key.public == other.public for other in others):
            raise InvalidInput(f"expected each public key once, found that of {key.name} again")
        return key

    def _define(self, name: str) -> None:
        if name in self.names:
            raise InvalidInput(f"expected a new name, found {name!r}, which is taken")
        self.names.add(name)
        self.free.add(name)

    def _add_group(self, name: str, threshold: str, members: list[str]) -> None:
        for member in members:
            if member not in self.free:
                raise InvalidInput(f"group {name!r}: expected members defined above that are in no group yet, found {member!r}")
            self.free.remove(member)
        k = {"any": 1, "all": len(members)}.get(threshold)
        if k is None:
            k = int(threshold) if _DECIMAL.fullmatch(threshold) is not None else 0
        if not 1 <= k <= len(members):
            raise InvalidInput(
                f"group {name!r}: expected all, any or 1 to {len(members)} of its members, found {threshold[:20]!r}"
            )
        self._define(name)
        self.groups.append(Group(name, k, tuple(members)))


def _line(*items: str | None) -> str:
    return " ".join(item for item in items if item is not None)
