"""A process that converts for an import: units come in on standard input, frames of what they hold go out on standard output.

Everything on both is length-prefixed: u32 little-endian and a byte that says whether it is the last of its unit, then as many
bytes. The first message is a pickled (name of the format, options, inputs), each further one a pickled unit. The end of the
input, or a reader that is gone, ends the process.
"""

import os
import pickle
import sys
import traceback
from collections.abc import Sequence
from struct import Struct as Packing
from typing import BinaryIO

from inbond.registry.importers import Importer, Input, importer
from inbond.registry.importers.base import AnyConverter, StopImport
from inbond.registry.importers.frames import FrameWriter
from inbond.registry.importers.parts import Unit
from inbond.schemas.errors import InbondError

HEAD = Packing("<I?")


def read_message(file: BinaryIO) -> tuple[bytes, bool] | None:
    """The next message and whether it is the last of its unit; None at the end. Raises EOFError within one."""
    head = file.read(HEAD.size)
    if not head:
        return None
    size, is_last = HEAD.unpack(head) if len(head) == HEAD.size else (1, False)
    payload = file.read(size)
    if len(payload) != size:
        raise EOFError(f"expected a message of {size} bytes, found {len(payload)}")
    return payload, is_last


def write_message(file: BinaryIO, payload: bytes, is_last: bool = False) -> None:
    """Write one message and hand it to the system."""
    file.write(HEAD.pack(len(payload), is_last))
    file.write(payload)
    file.flush()


def main() -> None:
    """Convert what standard input asks for until it ends."""
    out = os.fdopen(os.dup(1), "wb", 1 << 16)
    os.dup2(2, 1)  # whatever else prints, prints among the errors
    try:
        _serve(sys.stdin.buffer, out)
    except BrokenPipeError:
        os._exit(1)  # nobody is there to be told


def _serve(units: BinaryIO, out: BinaryIO) -> None:
    writer = FrameWriter(lambda payload, is_last: write_message(out, payload, is_last))
    first = read_message(units)
    if first is None:
        return
    name, options, inputs = pickle.loads(first[0])
    format = importer(name)
    converter: AnyConverter | None = None
    while (message := read_message(units)) is not None:
        try:
            if converter is None:
                converter = format.converter(options)
            _convert(format, converter, inputs, pickle.loads(message[0]), writer)
        except (InbondError, StopImport) as error:
            writer.finish(error)
        except BrokenPipeError:
            raise
        except Exception as error:
            writer.finish(RuntimeError(f"{error!r} in a process that converts\n{traceback.format_exc()}"))
        else:
            writer.finish()
    if converter is not None:
        converter.close()


def _convert(format: Importer, converter: AnyConverter, inputs: Sequence[Input], unit: Unit, writer: FrameWriter) -> None:
    for number, part in unit:
        writer.begin(number)
        for item in format.records_of(inputs[number], part, converter, writer.read):
            writer.add(item)
        writer.end(part)
    if format.remembers:
        for item in format.ended(converter, [inputs[number].name for number, _ in unit]):
            writer.add(item)
