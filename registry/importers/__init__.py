"""Importers: one file a format, and one table of them."""
