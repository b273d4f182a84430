"""A transparency log for any bytes, with keys and roles, signatures and proofs. Knows nothing of teachers."""
