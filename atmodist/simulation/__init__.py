"""Archives of simulated atmospheres: `dynamics` steps, this writes."""
