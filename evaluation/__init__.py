"""Judges atmospheric fields against a reference: one module for each statistic, and one report.

What the command `phire-eval` does, in Python:

    config = evaluation.EvaluationConfig(
        reference="truth.h5", candidates={"sr": "sr.h5", "past": "persistence:2"}
    )
    results = evaluation.evaluate(config)              # a folder of results, read again by
    results = evaluation.load_results("report")
    results.outcomes["power_spectrum"].dataset         # xarray, all candidates joined
    results.rows                                       # all numbers, with units and intervals
"""

import lazy_loader

import atmodist  # noqa: F401  for what it settles before TensorFlow and Keras are imported

# The names stand in `__init__.pyi`; their modules are imported when somebody asks for them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
