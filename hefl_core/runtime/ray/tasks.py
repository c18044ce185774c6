"""Independent calls on Ray, a given number at a time; their results as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from hefl_core.runtime.ray.cluster import CLUSTER, ray

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(function: Callable[[Item], Result], items: Sequence[Item], at_once: int) -> Iterator[Result]:
    """``function`` of every item, each in a worker process of the cluster; the first done comes first.

    Raises: what a call raised, in its own type; calls that run are cancelled.
    """
    CLUSTER.wait()
    remote = ray.remote(num_cpus=1, max_retries=0)(function)
    waiting, running = list(items), list[Any]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(remote.remote(waiting.pop(0)))
            ready, running = ray.wait(running)
            yield _result(ready[0])
    finally:
        for one in running:
            ray.cancel(one, force=True)


def _result(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from error
