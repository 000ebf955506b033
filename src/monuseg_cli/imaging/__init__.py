"""Images and slides: reading, conversion to 8-bit RGB, resampling, stains, tiling, writing."""
