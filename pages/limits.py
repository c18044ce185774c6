"""What HE does not stop: each attack that encryption leaves, its remedy as a switch, and the matrix of all."""

from pages.parts import limits_desk

limits_desk.page()
