"""The encrypted store of keys, and what unlocks it."""
