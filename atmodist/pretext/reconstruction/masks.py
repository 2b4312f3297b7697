"""Masks: which part of a field is hidden from a network that shall tell it.

A mask is (latitude, longitude), True where hidden. It is a pure function of a key and of the number
of its sample, not of the batch that the sample came in: random numbers are a hash of both
(`uniforms`). So a batch cut in parts, over steps or devices, keeps its masks.
"""

from collections.abc import Callable, Sequence

import numpy as np

NUM_STRIPES = 4
BLOCKS_PER_SIDE = 8

# (key, numbers (sample,)) -> masks (sample, latitude, longitude), True where hidden
Masks = Callable[[int, np.ndarray], np.ndarray]


def make_masks(kind: str, shape: tuple[int, int], fraction: float) -> Masks:
    """Makes the masks of a name.

    Args:
        kind: "hole", a rectangle with the proportions of the field, anywhere in it;
            "centred-hole", the same in its centre; "stripes", four of equal width at equal
            distances, along circles of latitude or across them; "blocks", cells of 8 × 8 that the
            field is cut into.
        shape: (latitude, longitude) of a field.
        fraction: Share of the points to hide, as nearly as whole points, lines and blocks allow.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be between 0 and 1; got {fraction}.")
    makers = {
        "hole": lambda: _holes(shape, fraction, centred=False),
        "centred-hole": lambda: _holes(shape, fraction, centred=True),
        "stripes": lambda: _stripes(shape, fraction),
        "blocks": lambda: _blocks(shape, fraction),
    }
    if kind not in makers:
        raise ValueError(f"there are no masks {kind!r}; choose one of: {', '.join(makers)}.")
    return makers[kind]()


def given_masks(masks: Sequence[np.ndarray] | np.ndarray) -> Masks:
    """Masks of one's own; which of them a sample gets is random.

    Args:
        masks: (mask, latitude, longitude), or a single one; True (or not zero) where hidden.
    """
    stack = np.array(masks, bool)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.ndim != 3:
        raise ValueError(f"masks must be (mask, latitude, longitude); got shape {stack.shape}.")
    if not stack.any(axis=(1, 2)).all():
        raise ValueError("a mask that hides nothing leaves nothing to tell")

    def draw(key: int, numbers: np.ndarray) -> np.ndarray:
        chosen = uniforms(key, numbers, 1)[:, 0] * len(stack)
        return stack[chosen.astype(int)]

    return draw


def uniforms(key: int, numbers: np.ndarray, count: int) -> np.ndarray:
    """Random numbers that are a function of a key and the number of a sample.

    Args:
        key: 64 bits.
        numbers: Of samples, not negative. Shape (sample,).
        count: Random numbers for each.

    Returns:
        Uniform on [0, 1), float64. Shape (sample, count).
    """
    with np.errstate(over="ignore"):  # 64-bit arithmetic wraps around on purpose
        state = _mixed(np.asarray(numbers, np.uint64) ^ _mixed(np.array([key], np.uint64)))
        columns = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_mixed(state[:, None] + columns) >> np.uint64(11)) * 2.0**-53


def key_of(seed: int, epoch: int | None) -> int:
    """The key of an epoch (from 0), or of evaluation (None), which is the same every time."""
    words = [seed, 0] if epoch is None else [seed, 1, epoch]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def _mixed(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _holes(shape: tuple[int, int], fraction: float, *, centred: bool) -> Masks:
    side = np.sqrt(fraction)
    sizes = [min(max(round(side * extent), 1), extent) for extent in shape]

    def draw(key: int, numbers: np.ndarray) -> np.ndarray:
        places = np.full((len(numbers), 2), 0.5) if centred else uniforms(key, numbers, 2)
        inside = []
        for axis, (extent, size) in enumerate(zip(shape, sizes, strict=True)):
            room = extent - size
            first = np.full(len(numbers), room // 2)
            if not centred:
                first = (places[:, axis] * (room + 1)).astype(int)
            offset = np.arange(extent) - first[:, None]
            inside.append((offset >= 0) & (offset < size))
        return inside[0][:, :, None] & inside[1][:, None, :]

    return draw


def _stripes(shape: tuple[int, int], fraction: float) -> Masks:
    if fraction * min(shape) < NUM_STRIPES:
        raise ValueError(
            f"{NUM_STRIPES} stripes over {fraction:g} of a field of {shape[0]} × {shape[1]} points "
            f"are less than a point wide; hide at least {NUM_STRIPES / min(shape):.3f}."
        )

    def draw(key: int, numbers: np.ndarray) -> np.ndarray:
        coin, phase = uniforms(key, numbers, 2).T
        hidden = []
        for extent in shape:
            place = NUM_STRIPES * np.arange(extent) / extent
            hidden.append((place + phase[:, None]) % 1.0 < fraction)
        along = (coin < 0.5)[:, None, None]
        return np.where(along, hidden[0][:, :, None], hidden[1][:, None, :])

    return draw


def _blocks(shape: tuple[int, int], fraction: float) -> Masks:
    num_blocks = BLOCKS_PER_SIDE**2
    if min(shape) < BLOCKS_PER_SIDE:
        raise ValueError(f"a field of {shape[0]} × {shape[1]} points is too small for blocks")
    num_hidden = min(max(round(fraction * num_blocks), 1), num_blocks - 1)
    rows, columns = (BLOCKS_PER_SIDE * np.arange(extent) // extent for extent in shape)

    def draw(key: int, numbers: np.ndarray) -> np.ndarray:
        rank = uniforms(key, numbers, num_blocks).argsort(axis=1).argsort(axis=1)
        hidden = (rank < num_hidden).reshape(-1, BLOCKS_PER_SIDE, BLOCKS_PER_SIDE)
        return hidden[:, rows[:, None], columns]

    return draw
