"""How commands end: what they write, and what becomes of it when nobody can take it."""
