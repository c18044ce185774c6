"""Report: the run in one file, its transcript, and the command that checks it."""

from pages.parts import report_page

report_page.page()
