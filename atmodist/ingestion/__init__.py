"""From files of winds, or of vorticity and divergence, in many layouts, to one archive."""
