"""Checks of whole runs: the claims, blindness, damage, faults, lying clients."""
