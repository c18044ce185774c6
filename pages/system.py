"""System: processes, keys, log, versions."""

from pages.parts import machine

machine.page()
