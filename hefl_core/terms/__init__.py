"""Terms of a run: what its parties agree on before a round (experiment, bounds, noise, sizes, messages)."""
