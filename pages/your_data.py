"""Your data: a table of your own, trained on under encryption; nothing is kept."""

from pages.parts import own_table

own_table.page()
