"""Who: parties, and what is asked of the operator."""

from msgspec import UNSET, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import Closed, Digest, Label, Listed, Ref, Territory, Time, Url


class Party(Closed, frozen=True, kw_only=True):
    """A legal or natural person that makes, supplies or receives. `contact` is an erasable object."""

    legal_name: Declared[Label]
    aliases: Listed[Label]
    domicile: Declared[Territory]
    contact: Digest | UnsetType = UNSET


class OperatorPolicy(Closed, frozen=True, kw_only=True):
    """A policy that the operator publishes."""

    name: Label
    url: Url
    digest: Digest


class Revenue(Closed, frozen=True, kw_only=True):
    """The band of yearly revenue that licences' thresholds ask about."""

    band: Label
    as_of: Time


class Operator(Closed, frozen=True, kw_only=True):
    """What is asked of the operator as a provider of models.

    The three `*_measures` and `disclosure_policy` (what providers may see of students) are documents in the store.
    """

    party: Ref
    eu_representative: Declared[Ref]
    sme: Declared[bool]
    code_of_practice_signatory: Declared[bool]
    opt_out_measures: Declared[Digest]
    illegal_content_measures: Declared[Digest]
    policies: Listed[OperatorPolicy]
    revenue: Declared[Revenue]
    disclosure_policy: Digest
