"""What a run costs, and what a ciphertext is."""
