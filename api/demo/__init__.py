"""The demonstration: a teacher language model, its students, and the story that shows the whole of inbond."""
