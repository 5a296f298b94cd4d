"""What is recorded of a run, and how it goes on after a kill."""
