"""Placement of the parties' processes: each on the node that offers a resource of its name, or wherever Ray chooses.

``serve ROLE`` with ``HEFL_TRANSPORT=ray`` (runtime/services/ray_node.py) starts such nodes. A cluster must offer a place
for every party of a run or for none: half a placement would put a client on the coordinator's machine unnoticed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.runtime.ray.cluster import CLUSTER, NodeAffinitySchedulingStrategy, ray

SHARE: Final = 0.01
"""Fraction of a party's resource that one run takes: a node carries a hundred runs at a time."""


@dataclass(frozen=True, slots=True)
class Placement:
    """``named``: every party has a node of its own name. ``joined``: the cluster existed before this process.

    ``nodes``: ids of the nodes that take work, when parties have no named places.
    """

    named: bool
    joined: bool
    nodes: tuple[str, ...] = ()

    def options(self, parties: Sequence[str], number: int) -> dict[str, Any]:
        """Ray's scheduling options for process ``number`` (from 0), which holds these parties.

        Processes without a named place go to the nodes in turn: Ray's own SPREAD is best effort, and put all clients of a
        small run on one of two nodes. A process restarts on the same node only, where its home is.
        """
        if self.named:
            return {"resources": dict.fromkeys(parties, SHARE)}
        if not (self.joined and self.nodes):
            return {}
        turn = self.nodes[number % len(self.nodes)]
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(turn, soft=False)}

    def clients_per_host(self, asked: int | None, clients: int) -> int:
        """How many clients share a process. Raises: ParameterError when they have named places and should share one."""
        if self.named and asked not in (None, 1):
            raise ParameterError(
                f"clients per host: expected 1 on nodes that are named after clients, found {asked}", "leave it out"
            )
        if asked is not None:
            return asked
        return 1 if self.joined else -(-clients // 2)


def placement_for(clients: int) -> Placement:
    """Place a run by the resources of the live nodes. Raises: RuntimeUnavailable when only some parties have a place."""
    needed = (KMS, COORDINATOR, AUDITOR, *(client_name(index) for index in range(1, clients + 1)))
    alive = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: str(node["NodeName"]))
    offered = {name for node in alive for name in node["Resources"]}
    missing = [name for name in needed if name not in offered]
    joined = CLUSTER.address != "local"
    if len(missing) == len(needed):
        working = [node for node in alive if node["Resources"].get("CPU")] or alive  # without a CPU: not for work
        return Placement(named=False, joined=joined, nodes=tuple(node["NodeID"] for node in working))
    if missing:
        raise RuntimeUnavailable(
            f"Ray: expected a node for each of {', '.join(needed)}, found none for {', '.join(missing)}; "
            "start `serve ROLE` there, or choose fewer clients"
        )
    return Placement(named=True, joined=joined)


def home_here(asked: str) -> Path:
    """Where a host keeps its parties' stores: below this node's ``HEFL_HOME`` if it is set, else in the folder ``asked``.

    >>> home_here("/tmp/hefl-abc/kms").parts[-2:]
    ('hefl-abc', 'kms')
    """
    own = os.environ.get("HEFL_HOME")
    return Path(own, "runs", *Path(asked).parts[-2:]) if own else Path(asked)
