"""Landscapes with theory: what should happen is known."""
