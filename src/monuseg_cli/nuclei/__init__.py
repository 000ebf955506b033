"""Nuclei as label images, polygons and numbers, and the files that hold them."""
