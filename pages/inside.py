"""Inside a ciphertext: Paillier by hand, what ring ciphertexts look like, how they wear, and which parameters are safe."""

from pages.parts import inside_lab

inside_lab.page()
