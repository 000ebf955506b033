"""What one writes with TIAToolbox: a slide, its SemanticSegmentor with the same network, a mask.

usage: python benchmarks/peers/tiatoolbox_predict.py WEIGHTS SLIDE MASK.png   (environment: tiatoolbox and monuseg-cli)
"""

import sys
import tempfile
from pathlib import Path

import imagecodecs
import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from tiatoolbox.models.engine.io_config import IOSegmentorConfig
from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
from tiatoolbox.models.models_abc import ModelABC
from torch import Tensor, nn

from monuseg_cli.models.card import Card
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import load_model

FULL = {"units": "baseline", "resolution": 1.0}


class Network(ModelABC):  # type: ignore[misc] # it has no types
    """The network as TIAToolbox wants it: nucleus and background as two classes."""

    def __init__(self, model: nn.Module, card: Card) -> None:
        super().__init__()
        self.model, self.card = model.to(memory_format=torch.channels_last), card

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities (N, C, H, W) for images of the same size."""
        maps: Tensor = self.model(normalise(images, self.card)).sigmoid()
        return maps

    @staticmethod
    def infer_batch(model: nn.Module, batch_data: Tensor, *, device: str) -> NDArray[np.float32]:
        """Return the probabilities of the two classes, (N, H, W, 2)."""
        with torch.inference_mode():
            images = batch_data.to(device).permute(0, 3, 1, 2).float() / 255
            nucleus = model(images)[:, :1]
            return torch.cat([1 - nucleus, nucleus], dim=1).permute(0, 2, 3, 1).numpy()

    @staticmethod
    def postproc(image: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the more probable class."""
        classes: NDArray[np.intp] = image.argmax(axis=-1)
        return classes


def main() -> None:
    """Do what the command line says."""
    weights, slide, mask = map(Path, sys.argv[1:])
    torch.set_num_threads(2)
    config = IOSegmentorConfig(
        input_resolutions=[FULL],
        output_resolutions=[FULL],
        patch_input_shape=(256, 256),
        patch_output_shape=(256, 256),
        stride_shape=(192, 192),
        save_resolution=FULL,
    )
    segmentor = SemanticSegmentor(model=Network(*load_model(weights)), batch_size=4, num_workers=0, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        found = segmentor.run(
            [slide],
            patch_mode=False,
            ioconfig=config,
            save_dir=Path(folder) / "out",
            output_type="zarr",
            auto_get_mask=False,
        )
        nuclei = np.asarray(zarr.open_group(str(next(iter(found.values()))), mode="r")["predictions"])
    mask.write_bytes(imagecodecs.png_encode((nuclei > 0).astype(np.uint8) * 255))


if __name__ == "__main__":
    main()
