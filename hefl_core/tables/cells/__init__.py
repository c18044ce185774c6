"""Cells of a table: missing, numbers, yes or no, dates; and the one form of a whole column."""
