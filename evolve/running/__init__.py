"""The life of a run: search, confirm, export; and going on after a stop."""
