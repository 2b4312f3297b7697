"""Pretext tasks: what an encoder is asked so that its activations become useful."""
