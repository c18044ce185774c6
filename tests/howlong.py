"""How long the suite takes here: said at its start, kept from the last run of the same selection in pytest's cache."""

import os
import time

REFERENCE = {"": 20, "not ray and not keras and not browser and not slow": 2}
"""Minutes on two cores of 2.5 GHz that do nothing else, by the selection of markers."""


def _key(config):
    return f"hefl/seconds/{config.option.markexpr or 'all'}"


def whole(config):
    """Whether all files were asked for: only then the time says anything."""
    return list(config.args) == list(config.getini("testpaths")) and not config.option.keyword


def forecast(config):
    """One sentence, or None where nothing is known."""
    cache = getattr(config, "cache", None)  # there is none under -p no:cacheprovider
    known = cache.get(_key(config), None) if cache else None
    if known is not None:
        return f"the last time this took {known / 60:.1f} minutes here"
    minutes = REFERENCE.get(config.option.markexpr)
    if minutes is None:
        return None
    return f"this takes about {minutes} minutes on two cores; this machine has {os.cpu_count()}"


class Clock:
    """The plugin: says it, and remembers."""

    def __init__(self, config):
        self.config, self.started = config, time.monotonic()

    def pytest_collection_finish(self, session):
        said = forecast(self.config)
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if said and reporter is not None:
            reporter.write_line(f"{len(session.items)} tests: {said}")

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus == 0:
            self.config.cache.set(_key(self.config), time.monotonic() - self.started)
