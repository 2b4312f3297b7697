"""How often 95 % intervals hold the truth, by simulation: the table of docs/intervals.md.

    python tools/coverage.py [--runs 4000] [--ranks 400]

Series of the length and memory given, of variance one: red noise that falls by e over the memory,
the same with half of its variance white, and moving means over twice the memory, as of windows that
overlap. Rank correlations are of 12 pairs of each base time with lags of 1 to 8, where the error of
a measure is half of it red noise that all pairs of a base time share; their truth is that of
400,000 pairs.
"""

import argparse

import numpy as np
from scipy.signal import lfilter

from atmodist.calibration.ranking import rank_correlations, spearman
from atmodist.fields.intervals import Interval, mean_interval

LENGTHS, MEMORIES = (20, 40, 60, 200, 1000), (0, 1, 3, 10)


def red_noise(rng: np.random.Generator, runs: int, num: int, memory: float) -> np.ndarray:
    """Series (runs, num) of variance one and correlation exp(-k / memory)."""
    rho = np.exp(-1 / memory) if memory else 0.0
    noise = rng.normal(size=(runs, num))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=1)


def half_white(rng: np.random.Generator, runs: int, num: int, memory: float) -> np.ndarray:
    red = red_noise(rng, runs, num, memory)
    return (red + rng.normal(size=red.shape)) / np.sqrt(2)


def overlapping(rng: np.random.Generator, runs: int, num: int, memory: float) -> np.ndarray:
    width = max(1, int(2 * memory))
    sums = np.cumsum(rng.normal(size=(runs, num + width)), axis=1)
    return (sums[:, width:] - sums[:, :-width]) / np.sqrt(width)


def means(kind, num: int, memory: float, runs: int) -> str:
    series = kind(np.random.default_rng([num, memory]), runs, num, memory)
    ideal = 2 * 1.96 * kind(np.random.default_rng(1), 4000, num, memory).mean(axis=1).std()
    return told([mean_interval(x) for x in series], 0.0, ideal)


def told(found: list[Interval], truth: float, ideal: float) -> str:
    """Coverage where there is an interval, its median width beside the ideal one, and how often."""
    there = [interval for interval in found if interval.reason is None]
    if not there:
        return "none"
    held = np.mean([interval.low <= truth <= interval.high for interval in there])
    width = np.median([interval.high - interval.low for interval in there]) / ideal
    share = len(there) / len(found)
    return f"{held:.2f} ({width:.1f}×" + (f"; {100 * share:.0f} %)" if share < 0.995 else ")")


def ranks(num: int, memory: float, runs: int) -> str:
    """Of the difference of two measures that share half of the noise, one better than the other."""
    rng = np.random.default_rng([num, memory, 7])

    def measures(num: int, per_step: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        step = np.repeat(np.arange(num), per_step)
        label = rng.integers(1, 9, len(step))
        own, both = red_noise(rng, 2, num, memory)
        noise = rng.normal(size=(2, len(step)))
        found = {
            "better": label + 2 * (own[step] + noise[0]),
            "l2": label + 3 * (both[step] + noise[1]),
        }
        return found, label, step

    many, label, _ = measures(40_000, 10)
    truth = spearman(many["better"], label) - spearman(many["l2"], label)
    found = []
    for _ in range(runs):
        row = rank_correlations(*measures(num, 12))[0]
        found.append(
            Interval(
                value=row.difference, low=row.difference_low, high=row.difference_high,
                p_value=None, effective=None, num=num,
                reason=None if row.difference_low is not None else "none",
            )
        )  # fmt: skip
    return told(found, truth, 2 * 1.96 * np.std([interval.value for interval in found]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4000, help="series of each kind")
    parser.add_argument("--ranks", type=int, default=400, help="sets of pairs; 0 for none")
    options = parser.parse_args()
    print("| | n | " + " | ".join(f"memory {memory}" for memory in MEMORIES) + " |")
    print("|---|---|" + "---|" * len(MEMORIES))
    kinds = {"red noise": red_noise, "half white": half_white, "overlapping": overlapping}
    for name, kind in kinds.items():
        for num in LENGTHS:
            cells = [means(kind, num, memory, options.runs) for memory in MEMORIES]
            print(f"| {name} | {num} | " + " | ".join(cells) + " |", flush=True)
    for num in LENGTHS[:4] if options.ranks else ():
        cells = [ranks(num, memory, options.ranks) for memory in MEMORIES]
        print(f"| rank correlations | {num} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
