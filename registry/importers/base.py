"""What an importer is: a name, options, and a way from one record of its format to records of ours.

A record that cannot be imported comes out as `Rejected`, in its place among the others, and the reader goes on; whether
one rejected record fails the import is for the caller to say. What makes the rest of a file unreadable raises.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from inbond.registry.importers.element import MAX_RECORD, Element
from inbond.registry.importers.failures import UNANSWERED
from inbond.registry.importers.fields import Fault, Fields, explain, without_infinities
from inbond.registry.importers.inputs import Input, Progress
from inbond.registry.importers.observed import Observed
from inbond.registry.importers.parts import Part
from inbond.registry.importers.signs import hint_for
from inbond.registry.importers.sound_values import check_values
from inbond.registry.importers.streaming import elements
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa


class Rejected(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record of a file that was not imported, and why.

    `line` is where the record begins, `number` its place among the file's records (both from 1; 0 where it is about no record but
    a request that no file answers). `field` is a path such as `messages[2].content`, empty for the record as a whole.
    `reason_code` is stable: malformed-json, truncated, not-utf8, unpaired-surrogate, too-deep, too-large, duplicate-field,
    missing-field, wrong-type, wrong-value, failed-request, unanswered-request. `hint` says what to do about a record that seems
    to be of another format.
    """

    file: str
    line: int
    number: int
    field: str
    expected: str
    found: str
    reason_code: str
    hint: str = ""

    def message(self) -> str:
        """One line for people."""
        field = f", field {self.field}" if self.field else ""
        return f"{self.file}, line {self.line}, record {self.number}{field}: expected {self.expected}, found {self.found}"

    def error(self) -> InvalidInput:
        """The same as an error, for an import that stops at the first one."""
        members = {name: value for name, value in msgspec.structs.asdict(self).items() if name != "hint"}
        return InvalidInput(self.message(), hint=self.hint or None, **members)


class StopImport(Exception):
    """Raised by a converter when no further record can be right: the import ends with InvalidInput at this record.

    `file`, `line` and `number` say which one it is, as of `Rejected`; who reads the file fills them in.
    """

    def __init__(self, field: str, expected: str, found: str, hint: str) -> None:
        super().__init__(field, expected, found, hint)
        self.field = field
        self.expected = expected
        self.found = found
        self.hint = hint
        self.file, self.line, self.number = "", 0, 0

    def error(self) -> InvalidInput:
        """What ends the import."""
        where = f"{self.file}, line {self.line}, record {self.number}, field {self.field}"
        said = f"{where}: expected {self.expected}, found {self.found}"
        return InvalidInput(said, hint=self.hint, file=self.file, line=self.line)


class AnyConverter(ABC):
    """Makes records of one format; made anew for each import, so it may remember what it has seen."""

    columns: tuple[str, ...] | None = None
    """The columns that are read of a table; None for all."""

    @abstractmethod
    def convert_element(self, element: Element) -> Sequence[Record | Observed]:
        """The records that one record of the source holds. Raises Fault, or StopImport."""

    def finish(self) -> None:  # noqa: B027  # most formats have nothing to say about the inputs as a whole
        """Called after the last input. Raises InvalidInput where the inputs as a whole were not what the options say."""

    def unanswered(self) -> Sequence[str]:
        """Names of requests that none of the inputs answers; known after the last."""
        return ()

    def close(self) -> None:  # noqa: B027  # most formats hold nothing
        """Called at the end, whatever it was."""


class Converter(AnyConverter):
    """Of JSON objects; a row of a table is taken as one."""

    @abstractmethod
    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """The records that one object holds. Raises Fault, or StopImport."""

    def convert_element(self, element: Element) -> Sequence[Record | Observed]:
        """The same from its text: for formats that take something out of it before it is parsed."""
        return self.convert(Fields(element.raw, values=element.values))


class RowConverter(AnyConverter):
    """Of rows of tables as they are; JSON is refused before it is asked."""

    @abstractmethod
    def convert_row(self, batch: "pa.RecordBatch", place: int) -> Sequence[Record | Observed]:
        """The records that a row holds. Raises Fault, or StopImport."""

    def convert_element(self, element: Element) -> Sequence[Record | Observed]:
        """The records of the element's row."""
        assert element.row is not None  # tables alone are read for it, as rows
        return self.convert_row(*element.row)


@dataclass(frozen=True)
class Option:
    """An option of an importer. `values` are those allowed; empty: any text. `default` None: not set."""

    name: str
    describes: str
    values: tuple[str, ...] = ()
    default: str | None = None


@dataclass(frozen=True)
class Importer:
    """A format that can be imported. `version` changes whenever the same bytes would give other records.

    `logprobs` says whether its records may come with log-probabilities, as `Observed`. `remembers` says whether a converter has
    to see all records in order to know what one of them is; of others several may be made, each for some of the records, and
    `finish` is for those that remember. `joins` says that a record is also made of inputs that hold none themselves.
    """

    name: str
    version: str
    describes: str
    example: str
    converter: Callable[[Mapping[str, str]], AnyConverter]
    options: tuple[Option, ...] = ()
    logprobs: bool = False
    remembers: bool = False
    joins: bool = False

    def check_options(self, options: Mapping[str, str]) -> dict[str, str]:
        """The options that say something, sorted.

        Those left at their default are dropped, so that naming a default changes no import identity. Raises
        InvalidInput for an option or value that this importer does not have.
        """
        known = {option.name: option for option in self.options}
        for name, value in options.items():
            option = known.get(name)
            if option is None:
                valid = ", ".join(known) or "none"
                raise InvalidInput(f"importer {self.name}: expected an option of its own ({valid}), found {name!r}")
            if option.values and value not in option.values:
                raise InvalidInput(f"importer {self.name}, option {name}: expected {' or '.join(option.values)}, found {value!r}")
            if not value:
                raise InvalidInput(f"importer {self.name}, option {name}: expected a value, found none")
        return {name: options[name] for name in sorted(options) if options[name] != known[name].default}

    def records(
        self, inputs: Iterable[Input], options: Mapping[str, str] | None = None, progress: Progress | None = None
    ) -> Iterator[Record | Observed | Rejected]:
        """The records of the inputs, in order, read in bounded memory; `progress` hears of the bytes read.

        Raises InvalidInput for wrong options, for an input that changed since its first pass, and for one that cannot be
        read on (an array that does not end).
        """
        converter = self.converter(self.check_options(options or {}))
        return self._records(inputs, converter, progress)

    def _records(
        self, inputs: Iterable[Input], converter: AnyConverter, progress: Progress | None
    ) -> Iterator[Record | Observed | Rejected]:
        names = []
        try:
            for source in inputs:
                names.append(source.name)
                yield from self.records_of(source, None, converter, progress)
            yield from self.ended(converter, names)
        except StopImport as stop:
            raise stop.error() from None
        finally:
            converter.close()

    def ended(self, converter: AnyConverter, names: Sequence[str]) -> Iterator[Rejected]:
        """What is known after the last of the inputs called `names`: requests without an answer. Raises as `finish` does."""
        converter.finish()
        for key in converter.unanswered():
            found = f"none for {key[:60]!r}"
            yield Rejected(", ".join(names), 0, 0, "custom_id", "an answer to each request", found, UNANSWERED)

    def records_of(
        self, source: Input, part: Part | None, converter: AnyConverter, progress: Progress | None
    ) -> Iterator[Record | Observed | Rejected]:
        """The records of one input, or of a part of its lines, of which lines and records are then counted from its start.

        Raises StopImport, and InvalidInput as `records` does.
        """
        is_start = part is None or not part.first
        for element in self._elements(source, part, converter, progress):
            try:
                if element.too_large:
                    raise Fault("too-large", "", f"a record of at most {MAX_RECORD} bytes", "a longer one")
                if b"-Infinity" in element.raw:
                    element = element._replace(raw=without_infinities(element.raw))  # as Python writes it
                records = converter.convert_element(element)
                for each in records:
                    if isinstance(each, Observed):
                        check_values(each)
            except Fault as fault:
                yield self._rejected(fault, source.name, element, is_start)
            except (ValueError, RecursionError) as error:  # of msgspec, UTF-8 and json
                yield self._rejected(explain(element.raw, error), source.name, element, is_start)
            except StopImport as stop:
                stop.file, stop.line, stop.number = source.name, element.line, element.number
                raise
            else:
                yield from records

    def _elements(
        self, source: Input, part: Part | None, converter: AnyConverter, progress: Progress | None
    ) -> Iterator[Element]:
        if part is not None:
            yield from part.elements(source, progress)
            return
        if source.head.startswith(b"PAR1"):
            from inbond.registry.importers.table_rows import table_elements

            with source.open_file(progress) as file:
                yield from table_elements(file, converter.columns, as_rows=isinstance(converter, RowConverter))
            return
        if isinstance(converter, RowConverter):
            found = "an empty file" if not source.size else f"a file that begins with {source.head!r}"
            raise InvalidInput(f"{source.name}: expected a Parquet file, found {found}", file=source.name)
        with source.open(progress) as blocks:
            yield from elements(blocks, source.name)

    def _rejected(self, fault: Fault, file: str, element: Element, is_start: bool) -> Rejected:
        reason, found = fault.reason, fault.found
        if reason == "malformed-json" and element.at_end and "truncated" in found:
            reason, found = "truncated", f"a last line that breaks off, {found}"
        is_other = reason == "missing-field" and "." not in fault.field  # a field that makes the format what it is
        # or what is not JSON from the start
        is_other |= reason == "malformed-json" and fault.expected == "a JSON object" and element.number == 1 and is_start
        hint = hint_for(element.raw, self.name) if is_other else ""
        return Rejected(file, element.line, element.number, fault.field, fault.expected, found, reason, hint)
