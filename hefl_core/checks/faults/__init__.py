"""Faults of parties, processes and networks during a run, and the check of the run's result."""
