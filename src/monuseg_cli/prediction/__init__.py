"""Segmentation of nuclei in images and slides."""
