import keras
import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose, assert_array_equal

from dynamics.constants import PhysicalConstants
from dynamics.integrators import SIL3, combination
from dynamics.spectral.primitive_equations import REFERENCE_PRESSURE, MassFixer, PrimitiveEquations
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels
from tests.dynamics.primitive_states import (
    Runner,
    largest,
    mountain,
    random_state,
)

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax" and not __import__("jax").config.jax_enable_x64,
    reason="float64 under JAX needs JAX_ENABLE_X64=1",
)

LEVELS = SigmaLevels(np.array([0.0, 0.1, 0.3, 0.55, 0.8, 1.0]))
UNEVEN_PROFILE = np.array([215.0, 225.0, 245.0, 265.0, 285.0])


@pytest.fixture(scope="module")
def sphere():
    return SphericalHarmonics(15, dtype="float64")


@pytest.fixture(scope="module")
def equations(sphere):
    return PrimitiveEquations(
        sphere, LEVELS, reference_temperature=UNEVEN_PROFILE, orography=mountain(sphere)
    )


@pytest.fixture(scope="module")
def run(equations):
    return Runner(equations)


def full_tendency(equations, state):
    return combination([1.0, 1.0], [equations.explicit(state), equations.implicit(state)])


def with_reference(state, old, new):
    """The same state about another reference temperature."""
    temperature = np.array(ops.convert_to_numpy(state["temperature"]))
    temperature[..., 0, 0, 0] += np.asarray(old) - np.asarray(new)
    return {**state, "temperature": ops.convert_to_tensor(temperature)}


# ------------------------------------------------------------------------------------- balances


@pytest.mark.parametrize("scheme", ["simmons_burridge", "midpoint"])
def test_isothermal_air_at_rest_over_mountains_stays_at_rest(sphere, scheme):
    # p_s = p_0 exp(-Φ_s / R T) balances Φ_s; warmer than T̄, so that T' takes part
    levels = SigmaLevels(LEVELS.boundaries, scheme=scheme)
    equations = PrimitiveEquations(
        sphere, levels, reference_temperature=250.0, orography=mountain(sphere)
    )
    ground = sphere.to_modal(sphere.constant(mountain(sphere)))
    temperature = np.zeros((5, *sphere.mask.shape))
    temperature[:, 0, 0, 0] = 30.0
    state = {
        "vorticity": sphere.constant(0 * temperature),
        "divergence": sphere.constant(0 * temperature),
        "temperature": sphere.constant(temperature),
        "log_surface_pressure": -ground[None] / (287.0 * 280.0),
    }
    tendency = full_tendency(equations, state)
    # the two terms of ∂D/∂t that cancel
    scale = largest(sphere.laplacian(ground))
    assert largest(tendency["divergence"]) < 1e-11 * scale
    for name in ("vorticity", "temperature", "log_surface_pressure"):
        assert largest(tendency[name]) < 1e-15, name


def test_solid_body_rotation_in_gradient_balance_is_steady(sphere):
    # u = U cos φ, isothermal: R T ln p_s = -(Ω a U + U²/2) sin²φ
    equations = PrimitiveEquations(sphere, LEVELS, reference_temperature=280.0)
    air, speed = equations.constants, 30.0
    sine = sphere.sin_latitude[:, None] + 0 * sphere.longitude
    factor = air.rotation_rate * air.radius * speed + speed**2 / 2
    u = speed * np.sqrt(1 - sine**2) * np.ones((5, 1, 1))
    vorticity, divergence = sphere.vorticity_divergence(sphere.constant(u), sphere.constant(0 * u))
    state = {
        "vorticity": vorticity,
        "divergence": divergence,
        "temperature": 0 * vorticity,
        "log_surface_pressure": sphere.to_modal(
            sphere.constant(-factor * sine[None] ** 2 / (287.0 * 280.0))
        ),
    }
    tendency = full_tendency(equations, state)
    scale = 2 * air.rotation_rate * 2 * speed / air.radius  # f ζ
    assert largest(tendency["divergence"]) < 1e-12 * scale
    assert largest(tendency["vorticity"]) < 1e-12 * scale
    assert largest(tendency["temperature"]) < 1e-16
    assert largest(tendency["log_surface_pressure"]) < 1e-18


def test_geopotential_of_an_isothermal_atmosphere(sphere):
    equations = PrimitiveEquations(sphere, LEVELS, reference_temperature=250.0)
    state = random_state(equations)
    state["temperature"] = 0 * state["temperature"]
    state["temperature"] = state["temperature"] + sphere.constant(
        20.0 * (np.arange(sphere.mask.size) == 0).reshape(sphere.mask.shape)
    )
    geopotential = ops.convert_to_numpy(sphere.to_nodal(equations.geopotential(state)))
    expected = 287.0 * 270.0 * LEVELS.hydrostatic.sum(1)
    assert_allclose(geopotential, expected[:, None, None] + 0 * geopotential, rtol=1e-12)


# ------------------------------------------------------------------- implicit and explicit parts


@pytest.mark.parametrize("step", [1800.0, -600.0, 1e5])
def test_implicit_solve_is_exact(equations, step):
    state = random_state(equations)
    solution = equations.solve_implicit(state, step)
    back = combination([1.0, -step], [solution, equations.implicit(solution)])
    for name in state:
        assert_allclose(
            ops.convert_to_numpy(back[name]),
            ops.convert_to_numpy(state[name]),
            rtol=0,
            atol=1e-10 * largest(state[name]),
        )


def test_whole_tendency_does_not_depend_on_the_reference_temperature(sphere, equations):
    state = random_state(equations)
    expected = full_tendency(equations, state)
    other = PrimitiveEquations(
        sphere, LEVELS, reference_temperature=300.0, orography=mountain(sphere)
    )
    actual = full_tendency(other, with_reference(state, UNEVEN_PROFILE, 300.0))
    for name in state:
        difference = largest(actual[name] - expected[name])
        assert difference < 1e-10 * largest(expected[name]), name


def test_implicit_part_is_linear_and_explicit_part_has_no_linear_gravity_waves(sphere):
    # about rest, T = T̄, and p_s uniform, without rotation, the explicit tendency is quadratic
    still = PhysicalConstants(rotation_rate=0.0)
    equations = PrimitiveEquations(
        sphere, LEVELS, reference_temperature=UNEVEN_PROFILE, constants=still
    )
    state = random_state(equations)
    small = combination([1e-3], [state])
    whole, part = equations.explicit(state), equations.explicit(small)
    linear, linear_part = equations.implicit(state), equations.implicit(small)
    for name in state:
        assert largest(part[name]) < 2e-6 * largest(whole[name]) + 1e-30, name
        assert_allclose(
            ops.convert_to_numpy(linear_part[name]),
            1e-3 * ops.convert_to_numpy(linear[name]),
            atol=1e-15 * largest(linear[name]),
        )


def test_eigenvalues_may_come_as_complex_numbers(sphere, monkeypatch):  # from NumPy 2.5 on
    def complex_eig(matrix):
        values, vectors = eig(matrix)
        return values.astype(complex), vectors.astype(complex)

    eig = np.linalg.eig
    usual = PrimitiveEquations(sphere, LEVELS)
    monkeypatch.setattr(np.linalg, "eig", complex_eig)
    complex_ones = PrimitiveEquations(sphere, LEVELS)
    for name in ("_to_waves", "_from_waves", "_speed_laplacian"):
        found, expected = getattr(complex_ones, name), getattr(usual, name)
        assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(expected))


def test_unstable_reference_temperature_is_refused(sphere):
    with pytest.raises(ValueError, match="stably stratified"):
        PrimitiveEquations(
            sphere, LEVELS, reference_temperature=np.array([100.0, 300.0, 200.0, 700.0, 1500.0])
        )


# --------------------------------------------------------------------------------- conservation


def energy_tendency(equations, state):
    """d(energy)/dt by a centred difference along the tendency, over the energy: s⁻¹."""
    tendency = full_tendency(equations, state)
    ahead = equations.energy(combination([1.0, 1.0], [state, tendency]))
    behind = equations.energy(combination([1.0, -1.0], [state, tendency]))
    return float((ahead - behind) / 2 / equations.energy(state))


@pytest.mark.parametrize("scheme", ["simmons_burridge", "midpoint"])
def test_tendencies_conserve_energy(scheme):
    # a linear state of low degree on a fine grid, so that products are neither cut nor aliased
    sphere = SphericalHarmonics(31, dtype="float64")
    equations = PrimitiveEquations(
        sphere, SigmaLevels(LEVELS.boundaries, scheme=scheme), reference_temperature=270.0
    )
    state = {
        name: value * sphere.constant(sphere.degrees <= 5)
        for name, value in random_state(equations).items()
    }
    # a day's change relative to the energy; wrong signs or factors give 1e-3 and more
    assert (
        abs(energy_tendency(equations, state)) * 86400 < 1e-7
    )  # rounding of differences of the energy


def test_constant_tracer_stays_constant_and_passes_the_implicit_part(equations):
    state = random_state(equations)
    mixed = np.zeros(state["temperature"].shape)
    mixed[:, 0, 0, 0] = 3.0
    tracers = {"mixed": ops.convert_to_tensor(mixed), "copy": state["temperature"]}
    tendency = full_tendency(equations, {**state, "tracers": tracers})
    assert largest(tendency["tracers"]["mixed"]) < 1e-17
    solution = equations.solve_implicit({**state, "tracers": tracers}, 600.0)
    assert solution["tracers"] is tracers
    alone = full_tendency(equations, state)
    for name in state:  # passive
        assert_allclose(
            ops.convert_to_numpy(tendency[name]), ops.convert_to_numpy(alone[name]), atol=1e-18
        )


def test_tracer_mass_is_conserved(sphere):
    equations = PrimitiveEquations(sphere, LEVELS)
    low = sphere.constant(sphere.degrees <= 3)
    state = {name: value * low for name, value in random_state(equations).items()}
    state["tracers"] = {"q": state["temperature"]}

    def mass(state):
        pressure = ops.exp(sphere.to_nodal(state["log_surface_pressure"]))
        mean = sphere.mean(pressure * sphere.to_nodal(state["tracers"]["q"]))
        return float(np.sum(LEVELS.thickness * ops.convert_to_numpy(mean)))

    tendency = full_tendency(equations, state)
    ahead = mass(combination([1.0, 1.0], [state, tendency]))
    behind = mass(combination([1.0, -1.0], [state, tendency]))
    assert abs(ahead - behind) / 2 * 86400 < 1e-5 * largest(state["temperature"])


def test_mass_drifts_little_and_not_at_all_with_the_fixer(equations, run):
    sphere = equations.sphere
    state = random_state(equations)

    def mean_pressure(state):
        return float(sphere.mean(equations.surface_pressure(state)))

    start = mean_pressure(state)
    fixer = MassFixer(sphere, start)
    later = run(state, 1200.0, 36)
    assert 1e-12 < abs(mean_pressure(later) / start - 1) < 1e-5
    fixed = fixer(later)
    assert abs(mean_pressure(fixed) / start - 1) < 1e-13
    # by a factor that is the same everywhere
    ratio = ops.convert_to_numpy(
        equations.surface_pressure(fixed) / equations.surface_pressure(later)
    )
    assert_allclose(ratio, ratio[0, 0], rtol=1e-13)


def test_energy_of_an_inviscid_run_drifts_little(equations, run):
    low = equations.sphere.constant(equations.sphere.degrees <= 5)
    state = {name: value * low for name, value in random_state(equations).items()}
    drifts = []
    for step in (1800.0, 900.0):
        later = run(state, step, int(86400 / step))
        drifts.append(abs(float(equations.energy(later) / equations.energy(state)) - 1))
    # of a start out of balance, whose gravity waves the implicit step damps; more in the cases
    assert drifts[0] < 5e-5
    assert drifts[1] < 0.5 * drifts[0]


# --------------------------------------------------------------------------- symmetry, numerics


def test_turning_about_the_axis_commutes_with_a_step(sphere):
    equations = PrimitiveEquations(sphere, LEVELS)
    angle = sphere.orders * (5 * 2 * np.pi / len(sphere.longitude))  # 5 columns of the grid
    cosine, sine = (sphere.constant(f(angle)[:, None]) for f in (np.cos, np.sin))

    def turn(values):  # f(λ - angle)
        c, s = values[..., 0, :, :], values[..., 1, :, :]
        return ops.stack([c * cosine - s * sine, s * cosine + c * sine], axis=-3)

    def step(state):
        return SIL3(equations, state, 1200.0)

    state = random_state(equations)
    one = step({name: turn(value) for name, value in state.items()})
    two = {name: turn(value) for name, value in step(state).items()}
    for name in state:
        assert largest(one[name] - two[name]) < 1e-11 * largest(two[name]), name


def test_mirrored_hemispheres_commute_with_the_tendency(sphere):
    equations = PrimitiveEquations(sphere, LEVELS)
    parity = np.where((sphere.degrees + sphere.orders[:, None]) % 2, -1.0, 1.0)

    def mirror(state):  # vorticity is a pseudoscalar
        return {
            name: value * sphere.constant(-parity if name == "vorticity" else parity)
            for name, value in state.items()
        }

    state = random_state(equations)
    one, two = full_tendency(equations, mirror(state)), mirror(full_tendency(equations, state))
    for name in state:
        assert largest(one[name] - two[name]) < 1e-12 * largest(two[name]), name


def test_members_of_a_batch_do_not_see_each_other(equations):
    members = random_state(equations, lead=(2,))
    together = SIL3(equations, members, 1200.0)
    for i in range(2):
        alone = SIL3(equations, {name: value[i] for name, value in members.items()}, 1200.0)
        for name in members:
            difference = largest(together[name][i] - alone[name])
            assert difference < 1e-12 * largest(alone[name]), name


def test_step_converges_with_second_order(equations, run):
    state = random_state(equations)
    runs = {count: run(state, 7200.0 / count, count) for count in (4, 8, 64)}
    for name in ("vorticity", "temperature", "log_surface_pressure"):
        errors = [largest(runs[count][name] - runs[64][name]) for count in (4, 8)]
        assert np.log2(errors[0] / errors[1]) > 1.7, name


def test_float32_follows_float64(equations, run):
    single = SphericalHarmonics(15, dtype="float32")
    coarse = PrimitiveEquations(
        single, LEVELS, reference_temperature=UNEVEN_PROFILE, orography=mountain(single)
    )
    state = random_state(equations)
    start = {name: single.constant(ops.convert_to_numpy(value)) for name, value in state.items()}
    exact, near = run(state, 1200.0, 18), Runner(coarse)(start, 1200.0, 18)
    for name, value in near.items():
        assert "float32" in str(value.dtype)
        difference = largest(ops.convert_to_numpy(value) - ops.convert_to_numpy(exact[name]))
        assert difference < 3e-4 * largest(exact[name]), name


def test_derivative_of_a_step_along_a_direction_is_that_of_differences(equations):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("written with TensorFlow's tape")
    import tensorflow as tf

    state, weight, direction = (random_state(equations, seed=seed) for seed in (0, 1, 2))

    def score(x):
        after = SIL3(equations, x, 1200.0)
        return sum(
            tf.reduce_sum(after[name] * weight[name]) / largest(weight[name]) ** 2 for name in x
        )

    with tf.GradientTape() as tape:
        tape.watch(state)
        value = score(state)
    gradient = tape.gradient(value, state)
    along = sum(float(tf.reduce_sum(gradient[name] * direction[name])) for name in state)
    ahead = score(combination([1.0, 1e-4], [state, direction]))
    behind = score(combination([1.0, -1e-4], [state, direction]))
    assert along == pytest.approx(float(ahead - behind) / 2e-4, rel=1e-6)


def test_too_long_a_step_ends_in_numbers_that_are_not_finite(equations, run):
    later = run(combination([20.0], [random_state(equations)]), 86400.0, 60)
    assert not np.isfinite(ops.convert_to_numpy(later["vorticity"])).all()


# ----------------------------------------------------------------------------- physics, mistakes


def test_physics_adds_its_tendencies_on_the_grid(sphere):
    def process(fields):
        return {
            "eastward_wind": -1e-5 * fields["eastward_wind"],
            "northward_wind": -1e-5 * fields["northward_wind"],
            "temperature": 2e-5 * fields["temperature"],
            "log_surface_pressure": 3e-5 * fields["log_surface_pressure"],
            "tracers": {"q": 4e-5 * fields["tracers"]["q"]},
        }

    state = random_state(PrimitiveEquations(sphere, LEVELS))
    state["tracers"] = {"q": 2.0 * state["temperature"]}
    without = PrimitiveEquations(sphere, LEVELS).explicit(state)
    added = PrimitiveEquations(sphere, LEVELS, physics=(process,)).explicit(state)
    rates = {
        "vorticity": -1e-5,
        "divergence": -1e-5,
        "temperature": 2e-5,
        "log_surface_pressure": 3e-5,
    }
    for name, rate in rates.items():
        expected = rate * state[name]
        assert largest(added[name] - without[name] - expected) < 1e-11 * largest(expected)
    expected = 4e-5 * state["tracers"]["q"]
    difference = added["tracers"]["q"] - without["tracers"]["q"] - expected
    assert largest(difference) < 1e-11 * largest(expected)


def test_entries_the_equations_do_not_know_stay_as_they_are(equations):
    state = random_state(equations)
    state["soil"] = {"water": ops.ones((3,), dtype="float64")}
    later = SIL3(equations, state, 600.0)
    assert_allclose(ops.convert_to_numpy(later["soil"]["water"]), 1.0)


def test_surface_pressure_is_that_of_the_state(equations):
    state = random_state(equations)
    pressure = ops.convert_to_numpy(equations.surface_pressure(state))
    assert pressure.shape == equations.sphere.nodal_shape
    logarithm = equations.sphere.to_nodal(state["log_surface_pressure"])[0]
    assert_allclose(np.log(pressure / REFERENCE_PRESSURE), logarithm, atol=1e-13)


def test_step_is_the_same_compiled(equations, run):
    state = random_state(equations)
    plain, fast = SIL3(equations, state, 900.0), run(state, 900.0, 1)
    for name in state:
        assert largest(plain[name] - fast[name]) < 1e-12 * largest(plain[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference_temperature": np.ones(3)}, "`reference_temperature` must be"),
        ({"reference_temperature": -1.0}, "`reference_temperature` must be"),
        ({"orography": np.zeros((3, 4))}, r"`orography` must be \(latitude, longitude\)"),
        ({"constants": PhysicalConstants(radius=1.0)}, "The sphere has radius"),
    ],
)
def test_mistakes_are_named(sphere, arguments, message):
    with pytest.raises(ValueError, match=message):
        PrimitiveEquations(sphere, LEVELS, **arguments)
