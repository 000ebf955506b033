"""From an image or slide to its nuclei and their files: the network, tile by tile, and what is made of its maps."""
