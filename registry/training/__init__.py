"""Training: what a run reads, in which order, and how each segment is on record before it is delivered."""
