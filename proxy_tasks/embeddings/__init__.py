"""Tables of vectors, of which a batch touches few."""
