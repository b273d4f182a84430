"""The ways in. Holds no rules."""
