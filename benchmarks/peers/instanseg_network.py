"""The U-Net of InstanSeg's model for H&E, with random weights, on one core: prints seconds per megapixel.

usage: python benchmarks/peers/instanseg_network.py SIDE_PX   (environment: instanseg-torch)

The settings are those of its training script: layers of 32 to 256 channels, 2 coordinates, 2 widths, 1 seed map.
"""

import statistics
import sys
import time

import torch
from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet

side = int(sys.argv[1])
torch.set_num_threads(1)
network = InstanSeg_UNet(in_channels=3, out_channels=[[2, 2, 1]], layers=[256, 128, 64, 32]).eval()
image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
seconds = []
with torch.inference_mode():
    network(image)  # takes memory
    for _ in range(3):
        began = time.perf_counter()
        network(image)
        seconds.append(time.perf_counter() - began)
print(statistics.median(seconds) / side**2 * 1e6)
