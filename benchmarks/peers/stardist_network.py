"""The network of StarDist's model for H&E, with random weights, on one core: prints seconds per megapixel.

usage: python benchmarks/peers/stardist_network.py SIDE_PX   (environment: stardist and tensorflow)

The settings are those of its published model 2D_versatile_he: 3 channels, 32 rays, a grid of 2 px.
"""

import statistics
import sys
import time

import numpy as np
import tensorflow as tf
from stardist.models import Config2D, StarDist2D

side = int(sys.argv[1])
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
network = StarDist2D(Config2D(n_channel_in=3, n_rays=32, grid=(2, 2)), basedir=None).keras_model
run = tf.function(lambda images: network(images, training=False))
image = tf.constant(np.random.default_rng(0).random((1, side, side, 3), dtype=np.float32))
run(image)  # builds the graph
seconds = []
for _ in range(3):
    began = time.perf_counter()
    run(image)
    seconds.append(time.perf_counter() - began)
print(statistics.median(seconds) / side**2 * 1e6)
