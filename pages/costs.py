"""Costs: forecast before, measured after, and who pays."""

from pages.parts import cost_lab

cost_lab.page()
