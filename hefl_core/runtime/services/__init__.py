"""Parties as services between organisations, under mutual TLS."""
