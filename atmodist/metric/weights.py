"""Telling networks apart by their weights, wherever and however often they were saved."""

import hashlib
from typing import Any

import numpy as np


def weights_digest(network: Any) -> str:
    """A digest of the weights of a Keras network.

    A file is another one after each saving (it holds times), the same weights have one digest.
    """
    digest = hashlib.sha256()
    for array in network.get_weights():
        digest.update(np.ascontiguousarray(array).data)
    return f"sha256:{digest.hexdigest()}"
