"""Fields as the metric sees them, and comparing series of them without encoding one twice."""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from atmodist.fields.grid import Grid

REMEMBERED_BYTES = 1 << 28  # of features, kept while series are compared


@dataclass(frozen=True)
class Encoded:
    """One field as the metric sees it.

    Attributes:
        grid: Its grid.
        features: (latitude, longitude, feature) by stage.
    """

    grid: Grid
    features: Mapping[str, np.ndarray]

    @property
    def num_bytes(self) -> int:
        """Memory taken."""
        return sum(values.nbytes for values in self.features.values())


class Remembering:
    """Encodes fields of a series as they are asked for, and keeps some for the next question."""

    def __init__(self, fields: np.ndarray, encode: Callable[[np.ndarray], Encoded]):
        self.shape = fields.shape[:-3]
        self._fields = fields
        self._encode = encode
        self._kept: OrderedDict[tuple[int, ...], Encoded] = OrderedDict()

    def at(self, place: tuple[int, ...]) -> Encoded:
        """The field at a place of the broadcast shape."""
        own = place[len(place) - len(self.shape) :]
        key = tuple(0 if size == 1 else index for size, index in zip(self.shape, own, strict=True))
        if key not in self._kept:
            self._kept[key] = self._encode(self._fields[key])
            while len(self._kept) > 1 and self._num_bytes() > REMEMBERED_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _num_bytes(self) -> int:
        return sum(encoded.num_bytes for encoded in self._kept.values())


def applied(
    function: Callable[[Encoded, Encoded], np.ndarray], a: Remembering, b: Remembering
) -> np.ndarray:
    """A function of two fields, for all fields of two series that are broadcast.

    Returns:
        (*broadcast shape of both series, *shape of a result).
    """
    shape = np.broadcast_shapes(a.shape, b.shape)
    results = []
    for place in itertools.product(*map(range, shape)):
        results.append(function(a.at(place), b.at(place)))
    if not results:
        raise ValueError(f"there is nothing to compare: series of shapes {a.shape} and {b.shape}")
    return np.stack(results).reshape((*shape, *results[0].shape))
