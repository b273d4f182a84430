import msgspec
import pytest

from inbond.schemas import canonical
from inbond.schemas.declared import Declared, Reason, known, not_applicable, unknown
from inbond.schemas.errors import InvalidInput

Fact = Declared[int]


@pytest.mark.parametrize(
    ("fact", "data"),
    [
        (known(0), b'{"known":0}'),
        (unknown(), b'{"unknown":"not_declared"}'),
        (unknown(Reason.LOST), b'{"unknown":"lost"}'),
        (not_applicable(), b'{"na":"not_applicable_to_kind"}'),
    ],
)
def test_a_fact_is_one_member(fact, data):
    assert canonical.encode(fact) == data
    assert canonical.decode(data, Fact) == fact


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"known":1,"unknown":"lost"}',
        b'{"known":1,"na":"lost"}',
        b'{"na":"lost","unknown":"lost"}',
        b'{"known":1,"na":"lost","unknown":"lost"}',
    ],
)
def test_no_member_and_two_members_are_refused(data):
    with pytest.raises(InvalidInput, match=r"expected exactly one of known, na, unknown"):
        canonical.decode(data, Fact)


@pytest.mark.parametrize(
    "data", [b'{"known":null}', b'{"unknown":"because"}', b'{"unknown":null}', b'{"known":"1"}', b"1", b"null", b'{"a":1}']
)
def test_other_values_and_reasons_are_refused(data):
    with pytest.raises(InvalidInput):
        canonical.decode(data, Fact)


def test_false_and_empty_are_known():
    assert canonical.decode(b'{"known":false}', Declared[bool]).is_known
    assert canonical.decode(b'{"known":[]}', Declared[tuple[int, ...]]).value_or((1,)) == ()
    assert unknown().value_or(7) == 7
    assert not not_applicable().is_known


def test_a_fact_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match=r"exactly one .* found known and na"):
        Declared(known=1, na=Reason.LOST)
    with pytest.raises(ValueError, match=r"found none of them"):
        Declared()


def test_facts_do_not_change():
    with pytest.raises(AttributeError):
        known(1).known = 2
    assert isinstance(known(1), msgspec.Struct)
