"""Disclosures: facts with evidence from the ledger → one report model → renderings, a statement, and their verification."""
