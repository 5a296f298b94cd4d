"""Tables of vectors that are looked up: few rows have a gradient in a step."""
