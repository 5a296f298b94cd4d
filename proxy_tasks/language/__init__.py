"""Language models on real text."""
