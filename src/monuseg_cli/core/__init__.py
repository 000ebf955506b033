"""Errors, progress, paths and atomic writes; imports only the standard library and platformdirs."""
