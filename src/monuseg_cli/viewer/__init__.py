"""The viewer of slides and their nuclei, in a browser."""
