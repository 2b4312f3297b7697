"""Pairs of patches as TFRecord shards: their format, their files, and how they are read."""
