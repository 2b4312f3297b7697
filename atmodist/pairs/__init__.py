"""Pairs of patches of one place and two times: planned, drawn, encoded and read."""
