"""Canonical bytes, signed envelopes, limits, and files that are written whole or not at all."""
