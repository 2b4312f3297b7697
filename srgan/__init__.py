"""Super-resolution of atmospheric fields, trained with the learned distance (in preparation)."""
