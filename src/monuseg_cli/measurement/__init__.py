"""Nuclei that any tool found, measured on their image."""
