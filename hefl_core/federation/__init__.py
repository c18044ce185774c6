"""The protocol: the round, its parties, their letters; nothing here knows where a party runs."""
