"""The ruler: distance between atmospheric states, and the content loss, from a trained encoder."""
