"""Super-resolution of whole fields: without a seam, in tiles, from files to archives."""
