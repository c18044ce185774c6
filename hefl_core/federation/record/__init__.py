"""The record of a run: what is written, the grammar it must follow, and its verification."""
