"""What inbond promises to others: statements, entries, errors, Arrow schemas and the JSON Schema files made from them."""
