"""Nuclei as label images, outlines and numbers, independent of the files that hold them."""
