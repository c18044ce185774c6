"""Damaged bytes: ciphertexts, messages, files and records with seeded faults, and what each door says to them."""
