"""Fields of the atmosphere: grids, times, levels, winds, archives, series, normalisation."""
