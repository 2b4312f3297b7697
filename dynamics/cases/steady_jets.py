"""Jablonowski & Williamson's jets without the bump, a steady state."""

from dynamics.cases._jablonowski_williamson import case

CASE = case(perturbed=False, summary="the jets of the baroclinic wave alone: nothing should change")
