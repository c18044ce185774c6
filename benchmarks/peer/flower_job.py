"""Flower with SecAgg+ on the reference job: Ray simulation, shares 5, threshold 3, clip 8, 2^22 levels, modulus 2^32.

    flower/bin/python flower_job.py JOB.npz OUT

SecAgg+ hides single updates from the server without any ciphertext; the server itself sees the sum.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.serde import recorddict_to_proto
from flwr.server import LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.simulation import run_simulation
from reference import Diary, Job, train

PATH, OUT = sys.argv[1], sys.argv[2]
SENT = "secagg-bytes"


class Home(NumPyClient):
    """One client: its data never leave; what it returns goes through SecAgg+."""

    def __init__(self, number: int) -> None:
        self.number, self.job = number, Job.read(PATH)

    def fit(self, parameters, config):
        """One local epoch."""
        order = self.job.orders[int(config["round"]) - 1][self.number]
        data = self.job.clients[self.number]
        return train(parameters, data, order, self.job.rate), len(data[1]), {}


def client_fn(context):
    """The client of this partition."""
    return Home(int(context.node_config["partition-id"])).to_client()


def counting_mod(message, context, following):
    """Books the size of every reply of every stage, as it would be on the wire."""
    reply = following(message, context)
    if reply.has_content():
        size = len(recorddict_to_proto(reply.content).SerializeToString())
        with (Path(OUT) / f"{SENT}-{os.getpid()}.txt").open("a", encoding="ascii") as file:
            file.write(f"{context.node_config['partition-id']} {size}\n")
    return reply


class Booked(FedAvg):
    """FedAvg that keeps a diary."""

    def __init__(self, job: Job, diary: Diary) -> None:
        everybody = len(job.clients)
        super().__init__(
            fraction_evaluate=0.0,
            min_fit_clients=everybody,
            min_available_clients=everybody,
            initial_parameters=ndarrays_to_parameters(job.start),
            on_fit_config_fn=lambda number: {"round": number},
        )
        self.job, self.diary = job, diary

    def aggregate_fit(self, server_round, results, failures):
        """As FedAvg does; then the diary."""
        if failures:
            raise RuntimeError(f"round {server_round}: {failures[0]!r}")
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        self.diary.round_done(parameters_to_ndarrays(parameters), self.job.test)
        return parameters, metrics


def main() -> None:
    """Run, then sum up the bytes."""
    job = Job.read(PATH)
    for old in Path(OUT).glob(f"{SENT}-*.txt"):
        old.unlink()
    diary = Diary("flower", note="Ray simulation, SecAgg+ (5 shares, threshold 3): the server learns the sum")
    server = ServerApp()

    @server.main()
    def run(grid, context):
        legacy = LegacyContext(context, config=ServerConfig(num_rounds=len(job.orders)), strategy=Booked(job, diary))
        secure = SecAggPlusWorkflow(5, 3, max_weight=1000.0, clipping_range=8.0, quantization_range=1 << 22)
        DefaultWorkflow(fit_workflow=secure)(grid, legacy)

    client = ClientApp(client_fn=client_fn, mods=[counting_mod, secaggplus_mod])
    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server, client, num_supernodes=len(job.clients), backend_config=resources)
    sizes = np.concatenate([np.loadtxt(file, ndmin=2) for file in Path(OUT).glob(f"{SENT}-*.txt")])
    diary.upload = int(sizes[:, 1].sum() / len(job.clients) / len(job.orders))
    diary.write(OUT)


main()
