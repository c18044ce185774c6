"""How long the suite takes here, said at its start and kept in pytest's cache; and which tests make test-fast leaves out."""

import os
import time
from pathlib import Path

MANY = "ray or keras or browser"
"""What starts many processes of its own, or a heavy library: it runs after the rest, a test at a time."""
REFERENCE = {"": 35, f"not ({MANY})": 10, MANY: 15, f"not ({MANY}) and not slow": 2.5}
"""Minutes on two cores that do nothing else, by the selection of markers."""


TESTS = Path(__file__).parent
CORE = {"federation", "keys", "laws", "learning", "measure", "ops", "probes", "schemes", "sweep", "terms", "wire"}
QUICK = {
    "attacks/test_command.py",
    "attacks/test_selective.py",
}
LONG = {
    "federation/test_one_faulty_client.py",
    "measure/test_shared_keys.py",
    "sweep/test_runs.py",
    "test_aggregator_tree.py",
    "test_benchmarks.py",
    "test_docs.py",
    "test_import_order.py",
    "test_vocabulary.py",
}


def core(path):
    """Whether a file is of the core: its doctests, the folders of the protocol, and what is quick beside them."""
    if not path.is_relative_to(TESTS):
        return True
    inside = path.relative_to(TESTS)
    if inside.as_posix() in LONG:
        return False
    return len(inside.parts) == 1 or inside.parts[0] in CORE or inside.as_posix() in QUICK


def whole(config):
    """Whether all files were asked for, and times are kept (not under ``-p no:cacheprovider``): only then it can be said."""
    asked = list(config.args) == list(config.getini("testpaths")) and not config.option.keyword
    return asked and hasattr(config, "cache") and not hasattr(config, "workerinput")


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

    def pytest_sessionstart(self):
        said = forecast(self.markers, self.config.cache.get(self.key, None), os.cpu_count())
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if said and reporter is not None:
            reporter.write_line(f"{self.markers or 'all tests'}: {said}")

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus == 0 and not self.config.option.collectonly:
            self.config.cache.set(self.key, time.monotonic() - self.started)
