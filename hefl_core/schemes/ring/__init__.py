"""BFV and CKKS over SEAL's rings: what both share, and what is each one's own."""
