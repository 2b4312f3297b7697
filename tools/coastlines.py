"""Makes `evaluation/data/coastlines.json` from Natural Earth's countries at 1:110 m.

    pip download --no-deps geopandas==0.14.4 && unzip geopandas-*.whl
    python tools/coastlines.py geopandas/datasets/naturalearth_lowres/naturalearth_lowres.shp

Natural Earth (naturalearthdata.com) is in the public domain. The file holds countries, not
coasts: an edge of one country that no other country has is a coast; edges between countries come
twice. Edges along the date line and along 90° south only close polygons and are dropped. What is
left is joined to lines, thinned (Douglas and Peucker), and written in hundredths of a degree.
"""

import argparse
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

TOLERANCE = 0.05  # degrees that thinning may move a line
HEADER = 100  # bytes
Point = tuple[float, float]
NOTE = (
    "Coastlines, thinned from Natural Earth 1:110m countries (naturalearthdata.com), "
    "which is in the public domain. Longitude and latitude in turn, hundredths of a degree. "
    "Made by tools/coastlines.py."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapefile", type=Path)
    parser.add_argument("--output", type=Path, default=Path("evaluation/data/coastlines.json"))
    args = parser.parse_args()
    lines = [thin(line) for line in join(coast_edges(read_rings(args.shapefile.read_bytes())))]
    rows = [",".join(str(round(100 * x)) for x in line.ravel()) for line in lines]
    body = ",\n".join(f"[{row}]" for row in sorted(rows))
    args.output.write_text(f'{{"note": "{NOTE}",\n"lines": [\n{body}\n]}}\n')
    points = sum(map(len, lines))
    print(f"{args.output}: {len(lines)} lines, {points} points, {args.output.stat().st_size} bytes")


def read_rings(content: bytes) -> Iterator[list[Point]]:
    """Rings of all polygons of a shapefile (ESRI, 1998: shape type 5)."""
    place = HEADER
    while place < len(content):
        words = struct.unpack_from(">i", content, place + 4)[0]
        num_parts, num_points = struct.unpack_from("<2i", content, place + 44)
        starts = struct.unpack_from(f"<{num_parts}i", content, place + 52)
        points = np.frombuffer(content, "<f8", 2 * num_points, place + 52 + 4 * num_parts)
        for first, last in zip(starts, [*starts[1:], num_points], strict=True):
            yield [(float(x), float(y)) for x, y in points.reshape(-1, 2)[first:last]]
        place += 8 + 2 * words


def coast_edges(rings: Iterator[list[Point]]) -> list[tuple[Point, Point]]:
    """Edges that one country alone has, without those that only close a polygon."""
    seen: dict[frozenset[Point], list[tuple[Point, Point]]] = {}
    for ring in rings:
        for a, b in pairwise(ring):
            if a != b:
                seen.setdefault(frozenset((a, b)), []).append((a, b))
    alone = [found[0] for found in seen.values() if len(found) == 1]
    return [(a, b) for a, b in alone if not _closes(a, b)]


def _closes(a: Point, b: Point) -> bool:
    along_date_line = abs(abs(a[0]) - 180) < 1e-3 and abs(a[0] - b[0]) < 1e-3
    return along_date_line or max(a[1], b[1]) < -89.9


def join(edges: list[tuple[Point, Point]]) -> Iterator[np.ndarray]:
    """Lines as long as can be; each edge is in one."""
    following: dict[Point, list[Point]] = {}
    for a, b in edges:
        following.setdefault(a, []).append(b)
    ends = {b for _, b in edges}
    starts = [a for a in following if a not in ends] + list(following)  # open lines first
    for start in starts:
        while following.get(start):
            line = [start]
            while following.get(line[-1]):
                line.append(following[line[-1]].pop())
            yield np.array(line)


def thin(line: np.ndarray) -> np.ndarray:
    """Keeps the points without which the line would move by more than the tolerance."""
    if len(line) < 3:
        return line
    start, along = line[0], line[-1] - line[0]
    away = line - start
    length = np.hypot(*along)
    # a closed line has no direction: its farthest point splits it
    distance = np.abs(along[0] * away[:, 1] - along[1] * away[:, 0]) / length if length else None
    distance = np.hypot(*away.T) if distance is None else distance
    farthest = int(distance.argmax())
    if distance[farthest] <= TOLERANCE:
        return line[[0, -1]]
    return np.concatenate([thin(line[: farthest + 1])[:-1], thin(line[farthest:])])


if __name__ == "__main__":
    main()
