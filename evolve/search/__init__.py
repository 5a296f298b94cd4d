"""Who is bred, kept, rejected, remembered."""
