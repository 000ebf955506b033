"""What runs a network over tiles."""
