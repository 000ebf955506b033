"""Architectures, their registry, and weights with their cards."""
