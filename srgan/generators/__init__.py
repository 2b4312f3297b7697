"""Generators as a user has them: applied to whole fields, in packages."""
