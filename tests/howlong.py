"""How long the suite takes here: said at its start, kept from the last run of the same selection in pytest's cache."""

import os
import time

REFERENCE = {"": 20, "not ray and not keras and not browser and not slow": 2}
"""Minutes on two cores that do nothing else, by the selection of markers."""


def whole(config):
    """Whether all files were asked for, and times are kept (not under ``-p no:cacheprovider``): only then it can be said."""
    asked = list(config.args) == list(config.getini("testpaths")) and not config.option.keyword
    return asked and hasattr(config, "cache")


def forecast(markers, known, cores):
    """One sentence, or None where nothing is known. ``known``: seconds of the last run here, or None."""
    if known is not None:
        return f"the last time this took {known / 60:.1f} minutes here"
    if markers not in REFERENCE:
        return None
    return f"this takes about {REFERENCE[markers]} minutes on two cores; this machine has {cores}"


class Clock:
    """The plugin: says it, and remembers."""

    def __init__(self, config):
        self.config, self.started = config, time.monotonic()
        self.markers = config.option.markexpr
        self.key = f"hefl/seconds/{self.markers or 'all'}"

    def pytest_collection_finish(self, session):
        said = forecast(self.markers, self.config.cache.get(self.key, None), os.cpu_count())
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if said and reporter is not None:
            reporter.write_line(f"{len(session.items)} tests: {said}")

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus == 0 and not self.config.option.collectonly:
            self.config.cache.set(self.key, time.monotonic() - self.started)
