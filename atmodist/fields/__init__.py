"""Fields of the atmosphere: grids, winds, archives, and how files become archives."""
