"""From archives to training samples: statistics, normalisation, and the sampling of pairs."""
