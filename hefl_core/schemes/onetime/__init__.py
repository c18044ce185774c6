"""One-time keys: a long vector under a fresh key of its client, and only that key under the key of the epoch."""
