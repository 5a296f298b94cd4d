"""A program for people: listings, formulas, source text."""
