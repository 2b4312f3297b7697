"""The kinds of candidates, one module each, found in `KINDS`; see `evaluation.candidates.kind`."""

from atmodist.files.discovery import Registry
from evaluation.candidates.kind import Kind

KINDS: Registry[Kind] = Registry(__name__, "KIND", what="kind of candidate", kind=Kind)
