"""Seconds of a training step of Larq's BinaryNet on pictures of 32 × 32; run by `training_speed.py`.

The net is that of Larq's tutorial: binary convolutions of 128, 128, 256, 256, 512, 512 and two dense layers
of 1024. It needs TensorFlow with Keras 2, so it has an interpreter of its own.
"""

import json
import os
import sys
import time
from importlib.metadata import version

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import larq
import numpy as np
import tensorflow as tf


def main(n_threads: int, batch: int) -> None:
    """Print the median seconds of a step as JSON."""
    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    net = _net()
    net.compile(tf.keras.optimizers.Adam(1e-3), loss="squared_hinge")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, 32, 32, 3)).astype(np.float32) / 127.5 - 1
    y = 2 * np.eye(10, dtype=np.float32)[rng.integers(0, 10, batch)] - 1
    net.train_on_batch(x, y)
    taken = []
    for _ in range(6):
        begin = time.perf_counter()
        net.train_on_batch(x, y)
        taken.append(time.perf_counter() - begin)
    found = {
        "seconds": float(np.median(taken)),
        "larq": version("larq"),
        "tensorflow": tf.__version__,
    }
    print(json.dumps(found))


def _net() -> tf.keras.Model:
    layers = tf.keras.layers
    binary = {
        "kernel_quantizer": "ste_sign",
        "kernel_constraint": "weight_clip",
        "use_bias": False,
    }
    net = tf.keras.Sequential()
    for i, n in enumerate((128, 128, 256, 256, 512, 512)):
        first = {"input_shape": (32, 32, 3)} if i == 0 else {"input_quantizer": "ste_sign"}
        net.add(larq.layers.QuantConv2D(n, 3, padding="same", **binary, **first))
        if i % 2:
            net.add(layers.MaxPool2D(2))
        net.add(layers.BatchNormalization(scale=False))
    net.add(layers.Flatten())
    for n in (1024, 1024, 10):
        net.add(larq.layers.QuantDense(n, input_quantizer="ste_sign", **binary))
        net.add(layers.BatchNormalization(scale=False))
    return net


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
