"""Schemes behind one protocol: plaintext, Paillier, BFV and CKKS, with presets and quorums."""
