"""Jablonowski & Williamson's baroclinic wave."""

from dynamics.cases._jablonowski_williamson import case

CASE = case(perturbed=True, summary="a wave that grows from a small bump and breaks on day nine")
