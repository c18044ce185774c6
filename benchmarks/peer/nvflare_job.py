"""NVFlare's homomorphic encryption on the reference job: stock components in its simulator, a process per client.

    nvflare/bin/python nvflare_job.py JOB.npz OUT

CKKS 8192 [60, 40, 40] at scale 2^40, symmetric, all layers, as its HEBuilder sets up. A model is known to the clients only
at the start of the next round, so one round more is run than is booked.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ |= {"PEER_JOB": sys.argv[1], "PEER_OUT": sys.argv[2], "PYTHONPATH": str(Path(__file__).parent)}

import numpy as np
import tenseal as ts
from nvflare.apis.dxo import DataKind
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.app_opt.he.intime_accumulate_model_aggregator import HEInTimeAccumulateWeightedAggregator
from nvflare.app_opt.he.model_decryptor import HEModelDecryptor
from nvflare.app_opt.he.model_shareable_generator import HEModelShareableGenerator
from nvflare.job_config.api import FedJob
from nvflare.job_config.defs import FilterType
from nvflare_parts import Home, Scale, Start
from reference import Diary, Job


def contexts(startup: Path) -> None:
    """The two key files, with the parameters and flags of nvflare.lighter.impl.he.HEBuilder."""
    startup.mkdir(parents=True)
    made = ts.context(ts.SCHEME_TYPE.CKKS, 8192, -1, [60, 40, 40], encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC)
    made.generate_relin_keys()
    made.global_scale = 2**40
    for name, client in (("server_context.tenseal", False), ("client_context.tenseal", True)):
        flags = {"save_public_key": client, "save_secret_key": client, "save_galois_keys": False}
        (startup / name).write_bytes(made.serialize(**flags, save_relin_keys=True))


def main() -> None:
    """Run, then read what the first hospital booked."""
    job, out = Job.read(sys.argv[1]), Path(sys.argv[2])
    space = out / "nvflare-workspace"
    shutil.rmtree(space, ignore_errors=True)
    (out / "nvflare-times.txt").unlink(missing_ok=True)
    contexts(space / "startup")
    rounds, clients = len(job.orders), len(job.clients)
    fed = FedJob(name="reference", min_clients=clients)
    generator = fed.to_server(HEModelShareableGenerator(), id="shareable_generator")
    aggregator = fed.to_server(
        HEInTimeAccumulateWeightedAggregator(expected_data_kind=DataKind.WEIGHTS), id="aggregator"
    )
    persistor = fed.to_server(Start(), id="persistor")
    controller = ScatterAndGather(
        min_clients=clients,
        num_rounds=rounds + 1,
        wait_time_after_min_received=0,
        aggregator_id=aggregator,
        persistor_id=persistor,
        shareable_generator_id=generator,
        train_timeout=600,
        task_check_period=0.05,
    )
    fed.to_server(controller)
    fed.to_clients(Home(), tasks=["train"])
    fed.to_clients(HEModelDecryptor(), tasks=["train"], filter_type=FilterType.TASK_DATA)
    fed.to_clients(Scale(), tasks=["train"], filter_type=FilterType.TASK_RESULT)
    fed.simulator_run(str(space), n_clients=clients, log_config="concise")
    diary = Diary("nvflare", note="simulator, CKKS of its own parameters; the server sums ciphertexts")
    times = np.loadtxt(out / "nvflare-times.txt", ndmin=1)
    for number in range(1, rounds + 1):
        with np.load(out / f"nvflare-{number}.npz", allow_pickle=False) as kept:
            diary.round_done([kept[name] for name in kept.files], job.test)
    diary.seconds = list(np.diff(times)[:rounds])
    diary.upload = json.loads((out / "nvflare-upload.json").read_text(encoding="ascii"))
    diary.write(str(out))


if __name__ == "__main__":
    main()
