"""What a program computes, with everything that does not matter left out."""
