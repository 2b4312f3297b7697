import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Legendre
from numpy.testing import assert_allclose

from atmodist.fields.grid import Grid, gaps, gauss_latitudes, make_grid, require_contiguous

GLOBAL = ["regular", "cell-centred", "driscoll-healy", "gauss"]


def each_kind(*numbers_of_rows: int) -> list[tuple[str, int]]:
    """Kinds with numbers of rows they can have (even ones for driscoll-healy)."""
    return [
        (kind, rows)
        for kind in GLOBAL
        for rows in numbers_of_rows
        if rows % 2 == 0 or kind != "driscoll-healy"
    ]


def regional_grid() -> Grid:
    return Grid(np.arange(60.0, 29.0, -0.5), np.arange(-20.0, 40.0, 0.5))


def exactness(kind: str, rows: int) -> int:
    """Largest degree up to which the kind's quadrature is exact, from the literature."""
    odd_at_least = rows - 1 if rows % 2 == 0 else rows  # odd degrees vanish by symmetry
    return {
        "regular": odd_at_least,  # Clenshaw-Curtis: n - 1, and n if n is odd
        "cell-centred": odd_at_least,  # Fejér's first rule: the same
        "driscoll-healy": rows - 1,  # products of two degrees below n/2
        "gauss": 2 * rows - 1,
    }[kind]


@pytest.mark.parametrize(("kind", "rows"), each_kind(2, 4, 32, 33, 180, 181, 1280))
def test_kind_is_told_from_coordinates_also_when_rounded_or_shifted(kind, rows):
    grid = make_grid(kind, rows)
    rounded = Grid(grid.latitude.round(3), grid.longitude.round(3))
    single = Grid(grid.latitude.astype(np.float32), grid.longitude.astype(np.float32))
    shifted = Grid(grid.latitude, grid.longitude - 180 + 0.1)
    for same in (grid, rounded, single, shifted):
        assert same.kind == kind
        assert same.is_global
        assert same.is_periodic


@pytest.mark.parametrize(
    ("rows", "columns", "kind"),
    [(721, 1440, "regular"), (181, 360, "regular"), (1280, 2560, "driscoll-healy")],
)
def test_well_known_grids_have_their_names(rows, columns, kind):
    step = 360 / columns
    grid = Grid(90 - step * np.arange(rows), step * np.arange(columns))
    assert grid.kind == kind


def test_wrong_coordinates_do_not_pass_for_a_global_grid():
    grid = make_grid("regular", 91)
    assert Grid(grid.latitude[1:-1], grid.longitude).kind == "regional"  # poles cut off
    assert Grid(grid.latitude, grid.longitude[:-1]).kind == "regional"  # a column is missing
    moved = grid.latitude.copy()
    moved[40] += 0.1 * 2  # a tenth of a row
    assert Grid(moved, grid.longitude).kind == "regional"


def test_a_belt_is_regional_but_periodic_and_a_box_is_neither():
    belt = Grid(np.arange(30.0, -31.0, -1.0), np.arange(360.0))
    assert (belt.kind, belt.is_periodic, belt.is_global) == ("regional", True, False)
    box = regional_grid()
    assert (box.kind, box.is_periodic, box.is_global) == ("regional", False, False)


@pytest.mark.parametrize(("kind", "rows"), each_kind(2, 3, 4, 5, 6, 9, 20, 21))
def test_quadrature_is_exact_to_its_degree_and_no_further(kind, rows):
    grid = make_grid(kind, rows)
    weights = grid.area_weights[:, 0] * grid.shape[1]
    sines = np.sin(np.radians(grid.latitude))
    last = exactness(kind, rows)
    for degree in range(last + 1):  # the mean of P_l over the sphere is 1 for l = 0, else 0
        mean = weights @ Legendre.basis(degree)(sines)
        assert_allclose(mean, float(degree == 0), atol=1e-13, err_msg=f"degree {degree}")
    # The next even degree (odd ones vanish on symmetric grids) is aliased.
    aliased = last + 1 if kind != "driscoll-healy" else rows
    assert abs(weights @ Legendre.basis(aliased)(sines)) > 1e-4


def test_gauss_weights_are_exact_on_large_grids():
    grid = make_grid("gauss", 1280)
    weights = grid.area_weights[:, 0] * grid.shape[1]
    sines = np.sin(np.radians(grid.latitude))
    for degree in (2, 100, 1279, 2558):
        # one million roundings of 1e-16, most of which cancel
        assert abs(weights @ Legendre.basis(degree)(sines)) < 1e-12


@pytest.mark.parametrize("kind", GLOBAL)
def test_weights_are_close_to_the_areas_of_bands(kind):
    grid = make_grid(kind, 64)
    weights = grid.area_weights[:, 0] * grid.shape[1]
    # the rules differ by O(n⁻²) of a band of area up to 1/40
    assert_allclose(weights, grid.band_areas, atol=3e-4)
    assert (weights >= 0).all()


@pytest.mark.parametrize(("kind", "rows"), each_kind(2, 10, 64))
def test_weights_and_bands_cover_the_whole_sphere(kind, rows):
    grid = make_grid(kind, rows)
    assert grid.area_weights.shape == (rows, 1)
    assert_allclose(grid.area_weights.sum() * grid.shape[1], 1, rtol=1e-14)
    assert_allclose(grid.band_areas.sum(), 1, rtol=1e-14)
    assert (grid.latitude_edges[0], grid.latitude_edges[-1]) == (90, -90)


def test_mean_of_sin_squared_latitude_is_a_third():
    for kind in GLOBAL:
        grid = make_grid(kind, 8)
        field = np.broadcast_to(np.sin(np.radians(grid.latitude))[:, None] ** 2, grid.shape)
        assert_allclose((field * grid.area_weights).sum((-2, -1)), 1 / 3, rtol=1e-14)


def test_regional_weights_are_shares_of_the_covered_area():
    grid = regional_grid()
    assert_allclose(grid.area_weights.sum() * grid.shape[1], 1, rtol=1e-14)
    # Edges lie half a row beyond the outer rows: the area of the cap between them, exactly.
    north, south = np.sin(np.radians([60.25, 29.25]))
    assert_allclose(grid.band_areas.sum(), (north - south) / 2, rtol=1e-14)
    # An exactly integrated band has the weight cos φ to second order.
    ratio = grid.area_weights[:, 0] / np.cos(np.radians(grid.latitude))
    assert_allclose(ratio / ratio.mean(), 1, atol=1e-12)


@given(
    st.lists(st.floats(-90, 90), min_size=2, max_size=30, unique=True).map(
        lambda values: np.sort(values)[::-1]
    )
)
def test_bands_of_any_latitudes_tile_without_gap_or_overlap(latitude):
    grid = Grid(latitude, np.arange(0.0, 90.0, 10.0))
    edges = grid.latitude_edges
    assert (np.diff(edges) <= 0).all()
    assert (edges[:-1] >= latitude).all()
    assert (edges[1:] <= latitude).all()
    assert (grid.band_areas >= 0).all()
    assert_allclose(
        grid.band_areas.sum(), (np.sin(np.radians(edges[[0, -1]])) @ [1, -1]) / 2, atol=1e-14
    )


@pytest.mark.parametrize(
    ("kind", "shape", "truncation"),
    [
        ("regular", (721, 1440), 719),
        ("cell-centred", (180, 360), 179),
        ("driscoll-healy", (1280, 2560), 639),
        ("gauss", (64, 128), 63),
        ("gauss", (320, 640), 319),
        ("gauss", (64, 96), 47),  # too few columns for the rows
        ("gauss", (64, 97), 48),
    ],
)
def test_truncation_that_a_grid_resolves(kind, shape, truncation):
    assert make_grid(kind, *shape).max_truncation == truncation


@pytest.mark.parametrize("kind", GLOBAL)
def test_orthogonality_of_the_highest_resolved_degrees(kind):
    """Degrees up to the truncation are told apart: ∫ P_l P_k over the sphere is δ / (2l+1).

    Only where the quadrature alone achieves it (Driscoll-Healy, Gauss); the equiangular kinds
    reach their truncation by other means, and half of it by quadrature.
    """
    grid = make_grid(kind, 24)
    top = grid.max_truncation if kind in ("driscoll-healy", "gauss") else grid.max_truncation // 2
    sines = np.sin(np.radians(grid.latitude))
    basis = np.array([Legendre.basis(degree)(sines) for degree in range(top + 1)])
    products = (basis * grid.area_weights[:, 0] * grid.shape[1]) @ basis.T
    assert_allclose(products, np.diag(1 / (2 * np.arange(top + 1) + 1)), atol=1e-14)


def test_gauss_latitudes_are_roots_of_the_legendre_polynomial():
    latitude = gauss_latitudes(20)
    assert (np.diff(latitude) < 0).all()
    assert_allclose(latitude, -latitude[::-1], atol=1e-13)
    assert_allclose(Legendre.basis(20)(np.sin(np.radians(latitude))), 0, atol=1e-13)


def test_grids_match_up_to_the_rounding_of_files():
    grid = make_grid("gauss", 320)
    assert grid.matches(Grid(grid.latitude.round(3), grid.longitude.astype(np.float32)))
    assert not grid.matches(Grid(grid.latitude, grid.longitude + 0.1))
    assert not grid.matches(make_grid("cell-centred", 320))
    assert not grid.matches(make_grid("gauss", 160))


def test_coordinates_are_copied_and_cannot_be_changed():
    latitude = np.array([10.0, 0.0])
    grid = Grid(latitude, np.array([0.0, 1.0]))
    latitude[0] = 50
    assert grid.latitude[0] == 10
    with pytest.raises(ValueError, match="read-only"):
        grid.latitude[0] = 50


def test_description_names_kind_and_range():
    assert str(make_grid("regular", 181)) == "181 x 360 regular (90N..90S, 0E..359E)"


GOOD = np.array([10.0, 0.0, -10.0])


@pytest.mark.parametrize(
    ("latitude", "longitude", "message"),
    [
        (GOOD[::-1], GOOD + 20, "`latitude` must decrease from north to south; got -10, 0, ..., 1"),
        ([0.0, 0.0, -1.0], [0.0, 1.0], "`latitude` must decrease"),
        ([91.0, 0.0], [0.0, 1.0], r"`latitude` must lie in -90..90; got up to 91"),
        (GOOD, GOOD, "`longitude` must increase eastwards over less than 360 degrees; got 10, 0"),
        (GOOD, np.linspace(0, 360, 37), "less than 360 degrees; got 0, 10, ..., 360"),
        (GOOD, [0.0, np.nan], "`longitude` must be finite; got nan"),
        ([np.inf, 0.0], [0.0, 1.0], "`latitude` must be finite; got inf"),
        ([1.0], [0.0, 1.0], r"`latitude` must be a 1-D array of at least two .* shape \(1,\)"),
        (GOOD, np.zeros((2, 2)), r"`longitude` must be a 1-D array .* got shape \(2, 2\)"),
    ],
)
def test_bad_coordinates_are_refused_by_name(latitude, longitude, message):
    with pytest.raises(ValueError, match=message):
        Grid(np.asarray(latitude), np.asarray(longitude))


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        ("mercator", 8, "`kind` must be one of regular, .*; got 'mercator'"),
        ("regional", 8, "`kind` must be one of"),
        ("driscoll-healy", 9, "even number of rows; got 9"),
        ("regular", 1, "`num_rows` must be at least 2; got 1"),
    ],
)
def test_impossible_grids_are_refused(kind, rows, message):
    with pytest.raises(ValueError, match=message):
        make_grid(kind, rows)


def test_a_region_has_no_truncation():
    with pytest.raises(ValueError, match="a regional grid has no spherical-harmonic truncation"):
        _ = regional_grid().max_truncation


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(10.0), []),
        (np.arange(10.0)[::-1], []),
        (np.delete(np.arange(0, 360, 10.0), [13, 14, 15, 16]), [12]),  # as across 80 degrees
        (np.delete(np.arange(10.0), 4), [3]),  # a single one is missing
        (np.array([0, 10, 20, 100, 180, 190, 200.0]), [2, 3]),  # two gaps of the same size
        (np.array([0, 40, 50, 60.0]), [0]),
        (np.array([90, 88, 84, 80, 76.0]), []),  # half a row at the pole
        (np.array([90, 89.75, 88, 86, 84, 82, 80.25, 80]), []),
        (np.cumsum(1.08 ** np.arange(40)), []),  # stretched
        (np.array([0, 1, 2, 4, 6, 8.0]), []),  # a finer grid within a coarse one
        (np.array([0.0, 80.0]), []),
    ],
)
def test_gaps_are_found_where_points_are_missing_and_nowhere_else(values, expected):
    assert gaps(values).tolist() == expected


def test_gaps_are_named_with_what_to_do():
    rows = np.delete(np.arange(60, 0, -5.0), [4, 5, 6])
    with pytest.raises(ValueError, match=r"latitudes leave a gap from 45N to 25N, .* crop"):
        require_contiguous(Grid(rows, np.arange(10.0)), "crop")
    require_contiguous(make_grid("gauss", 64))
