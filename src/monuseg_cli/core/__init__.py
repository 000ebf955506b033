"""Errors, progress, places, and files that appear whole: the standard library and platformdirs only."""
