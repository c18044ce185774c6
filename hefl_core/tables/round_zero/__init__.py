"""Round zero of a run on own tables: the clients agree on one schema by sums that only they can open."""
