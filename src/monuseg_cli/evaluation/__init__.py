"""From images and a model to scores, and from scores to tables."""
