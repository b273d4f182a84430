import pytest

from inbond.ledger.encoding import MAX_SIZE, from_base64, from_decimal, to_base64
from inbond.schemas.errors import VerificationError


@pytest.mark.parametrize(
    "text", ["", "01", "00", "+1", "-1", " 1", "1 ", "1\n", "1_0", "0x1", "1.0", "\u0663", str(2**63), "9" * 50]
)
def test_a_number_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(VerificationError, match="decimal number"):
        from_decimal(text, "size")


@pytest.mark.parametrize("number", [0, 1, 10, 35225469, MAX_SIZE])
def test_a_number_is_read_as_it_is_written(number: int) -> None:
    assert from_decimal(str(number), "size") == number


@pytest.mark.parametrize(
    "text",
    [
        "YQ",  # no padding
        "YQ=",
        "YR==",  # unused bits are not zero
        "YQ==\n",
        " YQ==",
        "YQ==YQ==",
        "Y Q==",
        "-_8=",  # URL-safe alphabet
        "YQ==é",
        "=",
    ],
)
def test_base64_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(VerificationError, match="padded standard base64"):
        from_base64(text, "root")


def test_lengths_are_checked_before_and_after_decoding() -> None:
    with pytest.raises(VerificationError, match="expected 32 bytes, found 1"):
        from_base64("YQ==", "root", length=32)
    with pytest.raises(VerificationError, match="at most 3 bytes"):
        from_base64("!" * 8, "root", limit=3)
    assert from_base64(to_base64(b"abc"), "root", limit=3) == b"abc"
