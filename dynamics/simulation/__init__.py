"""Cases stepped through time, and archives of them."""
