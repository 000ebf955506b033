"""Nuclei in H&E tissue: data, training, evaluation and prediction around MoNuSeg 2018."""

__version__ = "0.1.0"
