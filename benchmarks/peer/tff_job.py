"""TensorFlow Federated's weighted federated averaging on the reference job: the oracle for plain FedAvg.

tff/bin/python tff_job.py JOB.npz OUT
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from reference import Diary, Job


def main() -> None:
    """Every round on all clients, in the job's order of batches; the model leaves as it came, in float32."""
    job = Job.read(sys.argv[1])
    sizes = [array.shape for array in job.start[::2]]
    features = sizes[0][0]

    def model_fn() -> tff.learning.models.VariableModel:
        layers = [tf.keras.layers.InputLayer(input_shape=(features,))]
        layers += [
            tf.keras.layers.Dense(shape[1], activation=None if at == len(sizes) - 1 else "relu")
            for at, shape in enumerate(sizes)
        ]
        spec = (tf.TensorSpec([None, features], tf.float32), tf.TensorSpec([None], tf.int64))
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return tff.learning.models.from_keras_model(tf.keras.Sequential(layers), loss, input_spec=spec)

    process = tff.learning.algorithms.build_weighted_fed_avg(
        model_fn,
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(job.rate),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
    )
    state = process.initialize()
    state = process.set_model_weights(state, tff.learning.models.ModelWeights(job.start, []))

    def batches(round_: int, client: int) -> tf.data.Dataset:
        rows, labels = job.clients[client]
        order = np.concatenate(job.orders[round_][client])
        dealt = tf.data.Dataset.from_tensor_slices((rows[order], labels[order]))
        return dealt.batch(len(job.orders[round_][client][0]))

    diary = Diary("tff", note="simulation in one process, nothing on a wire")
    for round_ in range(len(job.orders)):
        state = process.next(state, [batches(round_, client) for client in range(len(job.clients))]).state
        diary.round_done(list(process.get_model_weights(state).trainable), job.test)
    diary.write(sys.argv[2])


main()
