"""Parties as Ray actors: the only place that imports Ray."""
