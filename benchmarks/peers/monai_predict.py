"""What one writes with MONAI: an image, the network in overlapping windows, a mask.

usage: python benchmarks/peers/monai_predict.py WEIGHTS IMAGE MASK.png   (environment: monai and monuseg-cli)
"""

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import torch
from monai.inferers import sliding_window_inference

from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import load_model

weights, image, mask = map(Path, sys.argv[1:])
torch.set_num_threads(2)
model, card = load_model(weights)
model = model.to(memory_format=torch.channels_last)
pixels = tifffile.imread(image) if image.suffix == ".tif" else imagecodecs.imread(image)
with torch.inference_mode():
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    logits = sliding_window_inference(normalise(batch, card), (256, 256), 4, model, overlap=0.25, mode="gaussian")
nuclei = logits[0, 0].sigmoid().numpy() >= card.postprocess.threshold
mask.write_bytes(imagecodecs.png_encode(nuclei.astype(np.uint8) * 255))
