"""How a program is trained and scored."""
