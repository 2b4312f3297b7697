"""Features of archives, and what can be read from them."""
