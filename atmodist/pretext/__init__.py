"""Pretext training: encoders, the tasks that they learn from, and their training."""
