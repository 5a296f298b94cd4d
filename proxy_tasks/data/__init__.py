"""Data that tasks share, each with its licence: see the files."""
