"""From archives to training samples: statistics, normalisation, sampling, records."""
