"""Scoring of models and of folders of predictions, with tables and a report."""
