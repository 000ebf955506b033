"""From patches to weights."""
