"""Training of a classifier from nuclei that were given classes."""
