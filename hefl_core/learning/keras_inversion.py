"""The search of "Inverting Gradients" on any model here: cosine distance and total variation, signed Adam, restarts.

Like keras_gradients.py, but the whole search is one compiled TensorFlow function in float32: a picture takes seconds. Run as
``python -m hefl_core.learning.keras_inversion`` it is a process of its own that answers jobs on its standard input: it is sent a
model, its parameters and one observed gradient, and so it can hold no key.

Source: Geiping et al. 2020 (arXiv 2003.14053), equation 4 and section 5: cosine, total variation, Adam on the sign of the gradient,
step size divided by ten after 3/8, 5/8 and 7/8 of the steps, pictures kept in their range.
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any, BinaryIO

import msgspec
import numpy as np

from hefl_core.learning.base import Parameters
from hefl_core.learning.inversion_job import Job, Searched, read_frame, write_frame
from hefl_core.learning.keras_setup import tf
from hefl_core.learning.keras_trainer import build
from hefl_core.learning.models import Model
from hefl_core.vectors import unflatten

_STEP = 0.1
_FIRST, _SECOND = 0.9, 0.999  # Adam's usual decay of the first and second moments
_FRAMES = 24


class Searcher:
    """One compiled search per model; its variables are written anew for each job."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._network = build(model)
        self._side = int(np.sqrt(model.features))
        rows = tf.TensorSpec((None, model.features), tf.float32)
        soft, flat = tf.TensorSpec((None, model.classes), tf.float32), tf.TensorSpec((model.parameters,), tf.float32)
        number = tf.TensorSpec((), tf.float32)
        self._descend = tf.function(
            self._one_part,
            input_signature=[rows, rows, rows, soft, flat, number, number, tf.TensorSpec((), tf.int32), number],
        )

    def search(self, job: Job) -> Searched:
        """The best of ``restarts`` searches by the value that the attacker can see, and its frames."""
        begun = time.process_time()
        self.write(np.frombuffer(job.theta, "<f4"))
        observed = tf.constant(np.frombuffer(job.observed, "<f4"))
        targets = tf.constant(np.eye(self._model.classes, dtype=np.float32)[list(job.labels)])
        found = [self._once(job, observed, targets, job.seed + start) for start in range(job.restarts)]
        best = min(found, key=lambda one: one.losses[-1])
        return msgspec.structs.replace(best, cpu_seconds=time.process_time() - begun)

    def write(self, theta: Parameters) -> None:
        """Load the model's parameters. Shapes: (d,). Raises: EncodingError for another length."""
        for variable, array in zip(
            self._network.trainable_variables, unflatten(theta, self._model.shapes), strict=True
        ):
            variable.assign(array)

    def _once(self, job: Job, observed: Any, targets: Any, seed: int) -> Searched:
        rng = np.random.default_rng(seed)
        rows = tf.constant(rng.uniform(0, 1, (len(job.labels), self._model.features)).astype(np.float32))
        first = second = tf.zeros_like(rows)
        frames, losses = [rows.numpy()], []
        edges = np.linspace(0, job.steps, _FRAMES + 1).astype(int)
        for begin, end in itertools.pairwise(edges):
            done = tf.constant(begin, tf.float32)
            rows, first, second, loss = self._descend(
                rows, first, second, targets, observed, tf.constant(job.tv, tf.float32), done,
                tf.constant(end - begin, tf.int32), tf.constant(job.steps, tf.float32),
            )  # fmt: skip
            frames.append(rows.numpy())
            losses.append(float(loss))
        return Searched(frames[-1].tobytes(), np.stack(frames).tobytes(), tuple(losses), 0.0)

    def _one_part(
        self, rows: Any, first: Any, second: Any, targets: Any, observed: Any, tv: Any, done: Any, steps: Any, of: Any
    ) -> Any:
        """``steps`` further steps. Returns the rows, both moments, and the mismatch at the last step."""
        loss = tf.constant(0.0)
        for _ in tf.range(steps):
            loss, slope = self.slope(rows, targets, observed, tv)
            done += 1.0
            part = done / of
            size = _STEP * tf.pow(0.1, tf.reduce_sum(tf.cast(part > tf.constant([3 / 8, 5 / 8, 7 / 8]), tf.float32)))
            sign = tf.sign(slope)
            first = _FIRST * first + (1 - _FIRST) * sign
            second = _SECOND * second + (1 - _SECOND) * sign * sign
            even = first / (1 - tf.pow(_FIRST, done)), second / (1 - tf.pow(_SECOND, done))
            rows = tf.clip_by_value(rows - size * even[0] / (tf.sqrt(even[1]) + 1e-8), 0.0, 1.0)
        return rows, first, second, loss

    def slope(self, rows: Any, targets: Any, observed: Any, tv: Any) -> Any:
        """Mismatch of guessed rows with the observed gradient, and its slope by the rows. Shapes: (n, features)."""
        with tf.GradientTape() as outer:
            outer.watch(rows)
            with tf.GradientTape() as inner:
                logits = self._network(rows, training=False)
                error = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
            slopes = inner.gradient(error, self._network.trainable_variables)
            guess = tf.concat([tf.reshape(slope, [-1]) for slope in slopes], axis=0)
            cosine = tf.reduce_sum(guess * observed) / tf.maximum(tf.norm(guess) * tf.norm(observed), 1e-20)
            value = 1 - cosine + tv * self._variation(rows)
        return value, outer.gradient(value, rows)

    def _variation(self, rows: Any) -> Any:
        pictures = tf.reshape(rows, [-1, self._side, self._side])
        down, right = pictures[:, 1:] - pictures[:, :-1], pictures[:, :, 1:] - pictures[:, :, :-1]
        return tf.reduce_mean(tf.abs(down)) + tf.reduce_mean(tf.abs(right))


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Answer jobs until the input ends."""
    searchers: dict[Model, Searcher] = {}
    while (frame := read_frame(jobs)) is not None:
        job = msgspec.msgpack.decode(frame, type=Job)
        if job.model not in searchers:
            searchers[job.model] = Searcher(job.model)
        write_frame(answers, msgspec.msgpack.encode(searchers[job.model].search(job)))


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
