"""Networks that are trained to solve differential equations."""
