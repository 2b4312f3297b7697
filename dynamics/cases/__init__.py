"""Published cases, one module each, found in `CASES`: to add a case is to add a module.

A module defines `CASE`, a `dynamics.case.Case`, and keeps its formulas beside it. None of them
needs Keras. `docs/extending.md` has an example.
"""

from atmodist.files.discovery import Registry
from dynamics.case import Case

CASES: Registry[Case] = Registry(__name__, "CASE", what="case", kind=Case, hyphens=True)
