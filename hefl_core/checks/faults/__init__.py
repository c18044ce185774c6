"""Faults of parties, processes and networks during a run, and the judge of what the run did."""
