"""Labelled nuclei in a window of an image, with contours and measurements computed on demand."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.stains import density_from_8_bits
from monuseg_cli.nuclei.shape_and_stain import Measurements, measure
from monuseg_cli.nuclei.texture import measure_texture
from monuseg_cli.nuclei.trace import Contours, trace


@dataclass(frozen=True)
class Nuclei:
    """The nuclei found in a window; contours and measurements are computed on demand.

    Parameters
    ----------
    first : int
        Id of the first nucleus; the ids have no gaps.
    centres : ndarray of shape (N, 2), float64
        Row and column of each centre, in pixels of the maps.
    window : ndarray of shape (H, W), int32
        Label image of the window, 1..N.
    probability : ndarray of shape (H, W), float32, or None
        Probability of nuclei in the window; None for nuclei of other tools.
    haematoxylin : ndarray of shape (H, W), uint8
        Optical density of haematoxylin in the window, in 8 bits.
    corner : ndarray of shape (2,), intp
        Row and column of the window's first pixel.
    network : ndarray of shape (N, NETWORK_FEATURES), float64, or None
        Features of the network, where they are measured.
    """

    first: int
    centres: NDArray[np.float64]
    window: NDArray[np.int32]
    probability: NDArray[np.float32] | None
    haematoxylin: NDArray[np.uint8]
    corner: NDArray[np.intp]
    network: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.centres)

    @cached_property
    def contours(self) -> Contours:
        """Contours of all nuclei in pixels of the maps, with labels 1..N."""
        contours = trace(self.window)
        contours.points[:] += self.corner
        return contours

    @cached_property
    def measurements(self) -> Measurements:
        """Measurements of all nuclei in pixels of the maps."""
        measurements = measure(self.window, self.contours, self.probability, density_from_8_bits(self.haematoxylin))
        measurements.centroids[:] += self.corner
        return measurements

    @property
    def texture(self) -> dict[str, NDArray[np.float64]]:
        """The columns of the group "texture" of all nuclei."""
        return measure_texture(self.window, density_from_8_bits(self.haematoxylin))
