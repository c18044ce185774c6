"""Attacks from a seat: what the seat sees, one attack a file, and the scorer, which alone sees the truth."""
