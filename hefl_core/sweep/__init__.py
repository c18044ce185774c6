"""Sweeps: many experiments from one plan, their numbers in one table with intervals, paired tests and vector figures."""
