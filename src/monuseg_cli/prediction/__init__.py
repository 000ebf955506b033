"""From an image or slide to nuclei."""
