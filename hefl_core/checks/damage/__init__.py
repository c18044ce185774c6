"""Damaged bytes: ciphertexts, messages, files and records with seeded faults, and how each parser reacts."""
