"""Families of primitives: one definition each, from which everything else is read."""
