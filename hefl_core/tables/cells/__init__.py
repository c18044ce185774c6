"""What a cell of a table may be: missing, a number, yes or no, a date; and how a whole column is written."""
