"""Statistics that judge atmospheric fields, one module each (in preparation)."""
