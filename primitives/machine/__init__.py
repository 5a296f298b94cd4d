"""The program as data: its tables, how they are written, and the step that runs them."""
