"""The search: mutate, select, score, record, confirm, report; and the command line."""

__version__ = "0.1.0"
