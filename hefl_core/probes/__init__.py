"""What lies where it must not: searches of memory, inputs and ciphertexts, and what they found."""
