"""Tables: regression and classification."""
