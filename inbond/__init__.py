"""inbond: a registry for what teacher models say, with a ledger of who learned from it.

The folders `schemas`, `ledger`, `registry` and `api` stand at the top of the repository and import
as `inbond.schemas`, `inbond.ledger`, `inbond.registry` and `inbond.api`.
"""

__version__ = "0.1.0"
