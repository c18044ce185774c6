"""Attack lab: one record, five seats, and how the leak falls."""

from pages.parts import attack_lab

attack_lab.page()
