"""One round: walk the messages of a real run, from any seat."""

from pages.parts import walk

walk.page()
