"""Training lab: encrypted, plain, alone and together, round by round."""

from pages.parts import training_lab

training_lab.page()
