"""One experiment, driven from the screen's container; what happened goes to stdout, one JSON object per line.

test_namespaces.py starts it the way `docker compose exec gui` would. Before the round that it is told it waits for a line
on its standard input, so that the test can look around and pull a plug.
"""

import json
import sys

import numpy as np

from hefl_core.federation.record.verify import verify
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment

ROW = 8
"""Numbers in a needle: 64 bytes as float64, 32 as float32, too many to come about by chance."""


def say(**what):
    print(json.dumps(what), flush=True)


def needles(observations):
    """Rows of what each client computed, as they lie in memory; many, since a packet's edge may cut one in two."""
    for seen in (item for found in observations.values() for item in found):
        update = np.frombuffer(seen.update, dtype=np.float64)
        rows = [update[start : start + ROW] for start in range(0, len(update) - ROW, len(update) // 16)]
        for row in (row for row in rows if np.count_nonzero(row) == ROW):
            yield row.astype("<f8").tobytes().hex()
            yield row.astype("<f4").tobytes().hex()


def traffic(sent):
    """Messages and bytes that the record has each party take in and send."""
    found = {}
    for entry in sent:
        for name, direction in [(entry.sender, "out"), *((name, "in") for name in entry.receivers)]:
            messages, nbytes = found.get(f"{name} {direction}", (0, 0))
            found[f"{name} {direction}"] = messages + 1, nbytes + entry.nbytes
    return found


def main(experiment, pause_before, deadline):
    run = Run(experiment, "ray", deadline_seconds=deadline)
    contributors, waited = {}, False
    try:
        for sent in run.steps():
            number = sent.position.round
            if number == pause_before and not waited:
                say(before=number, hosts=[[list(host.parties), host.node] for host in run.hosts])
                sys.stdin.readline()
                waited = True
            if sent.step == "update":
                contributors.setdefault(number, []).append(sent.sender)
        result = run.result()
        say(
            models=[item.model for item in result.rounds],
            accuracy=[item.accuracy for item in result.rounds],
            contributors=[sorted(contributors[number]) for number in sorted(contributors)],
            signers=verify(run.transcript).signers,
            uploaded=sum(sent.nbytes for sent in run.transcript.sent if sent.step == "update"),
            traffic=traffic(run.transcript.sent),
            needles=list(needles(run.observer.observations)),
        )
    finally:
        run.close()


if __name__ == "__main__":
    main(Experiment(**json.loads(sys.argv[1])), int(sys.argv[2]), float(sys.argv[3]))
