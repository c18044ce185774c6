"""A process that began before hefl_core lowered this one's limits, to start children for which nothing is lowered yet.

tests/conftest.py imports this first: a limit that was lowered cannot be raised again without a capability.
"""

import atexit
import json
import subprocess
import sys

WORK = """
import json, subprocess, sys
for line in sys.stdin:
    told = json.loads(line)
    done = subprocess.run(told["command"], cwd=told["cwd"], env=told["environment"], capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stderr[-500:]]), flush=True)
"""
_HELPER = subprocess.Popen(
    [sys.executable, "-c", WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
)


def run(command, cwd, environment):
    """Exit code and last words of a command."""
    told = {"command": command, "cwd": str(cwd), "environment": environment}
    _HELPER.stdin.write(json.dumps(told) + "\n")
    _HELPER.stdin.flush()
    return json.loads(_HELPER.stdout.readline())


def hard_limit():
    """Of a core file, in bytes, as children of the helper begin."""
    with open(f"/proc/{_HELPER.pid}/limits", encoding="ascii") as file:
        return next(line for line in file if line.startswith("Max core file size")).split()[5]


@atexit.register
def _end():
    _HELPER.stdin.close()
    _HELPER.stdout.close()
    _HELPER.wait()
