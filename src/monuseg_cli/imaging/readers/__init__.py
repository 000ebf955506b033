"""Readers of image files, one for each library, behind one protocol."""
