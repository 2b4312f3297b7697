"""Numerical cores that make atmospheric fields without any download (in preparation)."""
