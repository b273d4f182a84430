import pytest

from inbond.ledger.keys import COSIGNATURE_V1, ED25519, SigningKey, VerifierKey
from inbond.ledger.notes import MAX_NOTE, Note, NoteSignature, open_note, parse, sign
from inbond.schemas.errors import InvalidInput, VerificationError

# The example of C2SP signed-note, and the byte-exact signature of Go's sumdb/note tests.
SPEC_KEY = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
NEUMANN = SigningKey.from_text("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
NEUMANN_TEXT = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NEUMANN_LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
OTHER = SigningKey.from_seed("other", bytes(range(32)))
TEXT = b"text\n"


def test_the_published_note_verifies() -> None:
    note, signers = open_note(SPEC_NOTE, [SPEC_KEY])
    assert note.text == b"This is an example message.\n"
    assert signers == (SPEC_KEY,)


def test_signing_gives_the_published_bytes() -> None:
    assert sign(NEUMANN_TEXT, [NEUMANN]) == NEUMANN_TEXT + b"\n" + NEUMANN_LINE.encode()
    both = sign(NEUMANN_TEXT, [NEUMANN, OTHER])
    assert both.startswith(NEUMANN_TEXT + b"\n" + NEUMANN_LINE.encode())
    assert open_note(both, [OTHER.verifier, NEUMANN.verifier])[1] == (NEUMANN.verifier, OTHER.verifier)


def test_signatures_of_unknown_keys_are_ignored() -> None:
    note = parse(sign(TEXT, [NEUMANN, OTHER]))
    same_name = NoteSignature("other", b"abcd", b"anything")
    same_id = NoteSignature("another", OTHER.verifier.key_id, b"anything")
    data = Note(TEXT, (same_name, same_id, *note.signatures)).to_bytes()
    assert open_note(data, [OTHER.verifier])[1] == (OTHER.verifier,)
    with pytest.raises(VerificationError, match="expected a signature by EnochRoot"):
        open_note(data, [VerifierKey.parse("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")])
    with pytest.raises(VerificationError, match="expected a signature by nobody"):
        open_note(data, [])


def test_a_known_key_that_fails_rejects_the_whole_note() -> None:
    good, other = parse(sign(TEXT, [NEUMANN, OTHER])).signatures
    wrong = NoteSignature(other.name, other.key_id, other.blob[:-1] + bytes([other.blob[-1] ^ 1]))
    data = Note(TEXT, (good, wrong)).to_bytes()
    with pytest.raises(VerificationError, match="valid signature by other"):
        open_note(data, [NEUMANN.verifier, OTHER.verifier])
    assert open_note(data, [NEUMANN.verifier])[1] == (NEUMANN.verifier,)


def test_a_repeated_signature_counts_once_and_must_hold_each_time() -> None:
    (good,) = parse(sign(TEXT, [NEUMANN])).signatures
    assert open_note(Note(TEXT, (good, good)).to_bytes(), [NEUMANN.verifier])[1] == (NEUMANN.verifier,)
    wrong = NoteSignature(good.name, good.key_id, bytes(64))
    with pytest.raises(VerificationError, match="does not verify"):
        open_note(Note(TEXT, (good, wrong)).to_bytes(), [NEUMANN.verifier])


def test_one_key_under_two_types_is_two_signers() -> None:
    cosigner = VerifierKey(NEUMANN.name, COSIGNATURE_V1, NEUMANN.public.raw)
    assert cosigner.key_id != NEUMANN.verifier.key_id
    (good,) = parse(sign(TEXT, [NEUMANN])).signatures
    posing = NoteSignature(NEUMANN.name, cosigner.key_id, bytes(8) + good.blob)
    with pytest.raises(VerificationError, match="does not verify"):
        open_note(Note(TEXT, (good, posing)).to_bytes(), [NEUMANN.verifier, cosigner])


def test_two_keys_that_cannot_be_told_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerifierKey, "key_id", property(lambda key: b"same"))  # a collision takes 2^32 tries to find
    keys = [VerifierKey("log", ED25519, key.public.raw) for key in (NEUMANN, OTHER)]
    with pytest.raises(VerificationError, match="two different verifier keys"):
        open_note(SPEC_NOTE, keys)
    with pytest.raises(VerificationError, match="expected a signature"):
        open_note(SPEC_NOTE, keys[:1] * 2)


def test_the_text_ends_at_the_last_blank_line() -> None:
    text = b"first\n\n\nnot a signature\n\n" + SPEC_NOTE
    data = sign(text, [NEUMANN])
    assert parse(data).text == text
    assert open_note(data, [NEUMANN.verifier])[0].text == text
    with pytest.raises(VerificationError, match="expected a signature by example"):
        open_note(data, [SPEC_KEY])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        SPEC_NOTE[:-1],
        SPEC_NOTE + b"\n",
        SPEC_NOTE + b"text\n",
        SPEC_NOTE.replace(b"\n\n", b"\n"),
        SPEC_NOTE.replace("— ".encode(), b"- "),
        SPEC_NOTE.replace("— ".encode(), "—  ".encode()),
        SPEC_NOTE.replace(b"foo Uw", b"foo  Uw"),
        SPEC_NOTE.replace(b"foo Uw", b"foo Uw "),
        SPEC_NOTE.replace(b"foo Uw", b"f+o Uw"),
        SPEC_NOTE.replace(b"example.com/foo ", b" "),
        SPEC_NOTE.replace(b"aQM=", b"aQN="),
        SPEC_NOTE.replace(b"aQM=", b"aQM"),
        SPEC_NOTE.replace(b"aQM=\n", b"aQM=\r\n"),
        SPEC_NOTE.replace(b"This", b"Th\tis"),
        SPEC_NOTE.replace(b"This", b"Th\x00is"),
        SPEC_NOTE.replace(b"This", b"Th\xffis"),
        "text\n\n— name AAAAAA==\n".encode(),  # a key id and nothing more
        "text\n\n— name AAAAAAA=".encode(),
    ],
)
def test_bytes_out_of_form_are_no_note(data: bytes) -> None:
    with pytest.raises(VerificationError, match="note"):
        open_note(data, [SPEC_KEY])


def test_sizes_are_bounded() -> None:
    (line,) = parse(sign(TEXT, [NEUMANN])).signatures
    assert len(parse(Note(TEXT, (line,) * 100).to_bytes()).signatures) == 100
    with pytest.raises(VerificationError, match="at most 100 signatures"):
        parse(Note(TEXT, (line,) * 101).to_bytes())
    with pytest.raises(VerificationError, match=f"at most {MAX_NOTE} bytes"):
        parse(b"a" * MAX_NOTE + sign(TEXT, [NEUMANN]))
    with pytest.raises(VerificationError, match="at most 8192 bytes"):
        parse(Note(TEXT, (NoteSignature("name", b"abcd", bytes(9000)),)).to_bytes())


@pytest.mark.parametrize("text", [b"", b"no newline", b"tab\t\n", b"\xff\n"])
def test_texts_that_a_note_cannot_hold_are_not_signed(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        sign(text, [NEUMANN])


def test_a_note_needs_a_key() -> None:
    with pytest.raises(InvalidInput):
        sign(TEXT, [])
