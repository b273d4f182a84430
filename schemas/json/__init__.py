"""JSON Schema files, made from the structs by `python -m inbond.schemas.generate`."""
