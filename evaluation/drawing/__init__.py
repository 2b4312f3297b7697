"""How figures are drawn: curves, maps, pictures."""
