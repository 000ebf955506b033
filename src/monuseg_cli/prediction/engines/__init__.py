"""Inference engines, which run a network over tiles."""
