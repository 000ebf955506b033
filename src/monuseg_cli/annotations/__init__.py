"""Annotations: masks, label images, and the outlines and regions of other tools."""
