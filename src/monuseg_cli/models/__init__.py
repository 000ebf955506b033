"""Architectures, their registry, and weights with model cards."""
