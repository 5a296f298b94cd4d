"""A program as one file of another library."""
