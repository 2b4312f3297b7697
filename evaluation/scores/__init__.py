"""Scores as functions of fields: of NumPy arrays with a grid, or of xarray objects.

    evaluation.scores.rmse(forecast, analysis)                       # xarray: one number a time
    evaluation.scores.rmse(a, b, grid=grid, reduce=("longitude",))   # NumPy, (..., lat, lon)
    evaluation.scores.crps(members, analysis, fair=True)
    evaluation.scores.power_spectrum(field).mean("time")

They are the formulas of the statistics of `phire-eval`, which hand over fields to the same
functions. What they have in common (axes, weights by area, missing values): `scores.reduction`.
"""

import lazy_loader

# The names stand in `__init__.pyi`; their modules are imported when somebody asks for them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
