"""What NVFlare asks its users to write: an executor that trains, a source of the first model, a scale for the uploads."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_opt.he.model_encryptor import HEModelEncryptor
from nvflare.fuel.utils import fobs
from reference import Job, train

PATH, OUT = os.environ["PEER_JOB"], Path(os.environ["PEER_OUT"])


def named(arrays):
    """As NVFlare carries models: a dict of arrays."""
    return {f"p{at}": np.asarray(array, np.float32) for at, array in enumerate(arrays)}


class Home(Executor):
    """One hospital: decrypted global model in, trained model out. The first one books models and times."""

    def __init__(self):
        super().__init__()
        self.job = None
        self.round = 0

    def execute(self, task_name, shareable, fl_ctx, abort_signal):
        """One local epoch of the round at hand."""
        self.job = self.job or Job.read(PATH)
        number = int(fl_ctx.get_identity_name().rpartition("-")[2]) - 1
        weights = from_shareable(shareable).data
        shapes = [array.shape for array in self.job.start]
        arrays = [np.asarray(weights[f"p{at}"], np.float32).reshape(shape) for at, shape in enumerate(shapes)]
        if number == 0:
            np.savez(OUT / f"nvflare-{self.round}.npz", *arrays)
            with (OUT / "nvflare-times.txt").open("a", encoding="ascii") as file:
                file.write(f"{time.time()}\n")
        order = self.job.orders[self.round % len(self.job.orders)][number]
        self.round += 1
        data = self.job.clients[number]
        found = train(arrays, data, order, self.job.rate)
        return DXO(DataKind.WEIGHTS, named(found), {MetaKey.NUM_STEPS_CURRENT_ROUND: len(data[1])}).to_shareable()


class Start(ModelPersistor):
    """Hands out theta_0; what is aggregated stays encrypted, so there is nothing to save."""

    def load_model(self, fl_ctx):
        """theta_0."""
        return make_model_learnable(named(Job.read(PATH).start), {})

    def save_model(self, model, fl_ctx):
        """Ciphertext: the clients have the model."""


class Scale(HEModelEncryptor):
    """NVFlare's own encryptor; afterwards what it made is packed once more to be weighed."""

    def process_dxo(self, dxo, shareable, fl_ctx):
        """As the parent does."""
        found = super().process_dxo(dxo, shareable, fl_ctx)
        size = len(fobs.dumps(found.data))  # vectors and, with each, its context: so they travel
        (OUT / "nvflare-upload.json").write_text(json.dumps(size), encoding="ascii")
        return found
