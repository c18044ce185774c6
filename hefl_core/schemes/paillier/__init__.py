"""Paillier: keys, packed words, masks made ahead, and decryption together."""
