"""Hyperparameters: where they are looked for, and how they are found."""
