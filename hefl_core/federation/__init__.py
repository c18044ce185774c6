"""The protocol: the round, its parties, their letters. Nothing here depends on where a party runs."""
