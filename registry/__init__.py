"""The subject: teachers, terms, shards, datasets, students, runs; lineage and training. Knows no HTTP server."""
