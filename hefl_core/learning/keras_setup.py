"""The one place that imports TensorFlow: quiet, deterministic, and after TenSEAL.

It costs seconds of CPU and hundreds of MiB: never in the GUI process. ``hefl_core`` has imported TenSEAL before; the
other order makes TenSEAL's serialisation crash. TensorFlow is set to be deterministic for the whole process: one
thread within an operation, no oneDNN, op determinism (random operations without a seed then raise; training uses none).
A value already set in the environment is left alone.
"""

from __future__ import annotations

import os

for _name, _value in {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
    "KERAS_BACKEND": "tensorflow",
}.items():
    os.environ.setdefault(_name, _value)

import keras  # noqa: E402  reads the variables above
import tensorflow as tf  # noqa: E402

tf.config.experimental.enable_op_determinism()

__all__ = ["keras", "tf"]
