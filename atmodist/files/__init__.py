"""Files that appear whole, locks, workers: the ground, which knows nothing of the atmosphere."""
