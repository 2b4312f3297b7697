"""Running an evaluation: work, its progress, its results on disk."""
