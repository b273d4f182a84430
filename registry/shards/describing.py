"""What the file of a logits shard says of itself in its metadata, and that it is what the statement says.

The file is self-describing without its statement, and whoever reads it with the statement must find the same:

    inbond.codec               the codec of the statement, as JSON
    inbond.signal              generated or scored
    inbond.engine_fingerprint  what answered, as its provider names it: `generator.system_fingerprint` of the statement, as JSON
"""

from collections.abc import Mapping

import msgspec
from msgspec import UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.errors import VerificationError
from inbond.schemas.statements import Codec, Generator, Shard, Signal

CODEC_KEY = "inbond.codec"
SIGNAL_KEY = "inbond.signal"
ENGINE_KEY = "inbond.engine_fingerprint"


def codec_told(codec: Codec) -> str:
    """The value under `CODEC_KEY`."""
    return _json(codec)


def engine_told(generator: Declared[Generator]) -> str:
    """The value under `ENGINE_KEY`: `{"known":"fp_…"}`, or why it is not known."""
    found = generator.known
    return _json(generator if isinstance(found, UnsetType) else found.system_fingerprint)


def signal_told(signal: Signal) -> str:
    """The value under `SIGNAL_KEY`."""
    return signal.value


def check_told(pointers: Mapping[bytes, bytes], body: Shard, name: str) -> None:
    """Compare the metadata of a logits shard's file with its statement.

    The codec must be there; what else is told is the statement's, which may know by now what nobody had declared when the file
    was written. Raises VerificationError, naming the shard.
    """
    assert not isinstance(body.codec, UnsetType)
    assert not isinstance(body.signal, UnsetType)
    codec, signal, engine = codec_told(body.codec), signal_told(body.signal), engine_told(body.generator)
    expected = {CODEC_KEY: codec, SIGNAL_KEY: signal, ENGINE_KEY: engine}
    for key, value in expected.items():
        found = pointers.get(key.encode())
        if found is None and key != CODEC_KEY:
            continue
        if found != value.encode() and not (key == ENGINE_KEY and _is_open(found)):
            raise VerificationError(
                f"{name}: expected {key} {value} in the file's metadata, as the statement says, found "
                f"{'none' if found is None else found.decode(errors='replace')[:1000]}"
            )


def _is_open(told: bytes | None) -> bool:
    """Whether a declared fact says that it is not known."""
    try:
        return not msgspec.json.decode(told or b"", type=Declared[str]).is_known
    except msgspec.DecodeError:
        return False


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
