"""Terms as data: documents and their times, readings of clauses, acceptances, the catalogue, the engine, obligations."""
