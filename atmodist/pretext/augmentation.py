"""Symmetries of the atmosphere, used to see every pair in several ways.

North-south, exact. Mirrored at the equator, a flow on the rotating sphere is again such a flow:
scalars (divergence) are carried along, pseudo-scalars (vorticity) change sign besides. Land and sea
break the symmetry, the dynamics do not. Both fields of a pair are mirrored alike, so that their
label stays true. What a channel is, its name tells; an unknown one is not guessed.

Fields are normalised, y = (s(z) - μ') / σ' with s(z) = sign(z) log(1 + α|z|), z = (x - μ) / σ, so
that -x is not -y. We go back to z, where x -> -x is z -> -z - 2μ/σ, and forth again; where μ is
negligible, as for vorticity on the globe (Stokes), this is y -> -y - 2μ'/σ'.

East-west with time reversed, approximate. What drifts east from the first field to the second
drifts east again when both are mirrored east-west and exchanged, so that displacements, the best
clock over hours, are kept, and with them the label. Ideal flow would also want the sign of
divergence changed; it is left, because real divergence sits in precipitation, which does not run
backwards. A northward wind would have to change sign, and is refused.

The choice is a pure function of (seed, epoch, number of the batch, place in the batch).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from atmodist.fields.normalization import Normalization
from atmodist.fields.signed_log import signed_expm1, signed_log1p

# Names of channels: ours, then those of the CF conventions, of ERA5, and its short ones.
# Northward winds change sign when north and south are exchanged, as pseudo-scalars do.
NORTHWARD_WINDS = frozenset({"northward_wind", "v_component_of_wind", "v"})
PSEUDO_SCALARS = NORTHWARD_WINDS | frozenset(
    {"vorticity", "relative_vorticity", "absolute_vorticity", "potential_vorticity"}
    | {"atmosphere_relative_vorticity", "atmosphere_absolute_vorticity"}
    | {"ertel_potential_vorticity", "vo", "pv"}
    | {"streamfunction", "atmosphere_horizontal_streamfunction"}
)
SCALARS = frozenset(
    {"divergence", "divergence_of_wind", "d"}
    | {"eastward_wind", "u_component_of_wind", "u", "wind_speed"}
    | {"geopotential", "geopotential_height", "z", "velocity_potential"}
    | {"temperature", "air_temperature", "potential_temperature", "air_potential_temperature", "t"}
    | {"specific_humidity", "relative_humidity", "q", "r"}
    | {"vertical_velocity", "upward_air_velocity", "lagrangian_tendency_of_air_pressure", "w"}
    | {"pressure", "air_pressure", "surface_pressure", "surface_air_pressure", "sp"}
    | {"mean_sea_level_pressure", "air_pressure_at_mean_sea_level", "msl"}
)
NEGLIGIBLE_MEAN = 1e-4  # |μ/σ|; moves y by at most 2α/σ' times this, far below the noise of data


def require_known_symmetries(channels: Sequence[str], *, mirror: bool, reverse: bool) -> None:
    """Refuses symmetries of channels whose behaviour is not known.

    Args:
        channels: Names of the channels.
        mirror: Whether pairs shall be mirrored north-south.
        reverse: Whether their time shall be reversed.

    Raises:
        ValueError: If a channel is in neither table, or time would reverse a northward wind.
    """
    unknown = [name for name in channels if name not in SCALARS | PSEUDO_SCALARS]
    if unknown and (mirror or reverse):
        raise ValueError(
            f"it is not known whether {', '.join(unknown)} changes sign in a mirror; use "
            "--mirror false --reverse false, or name the channels as SCALARS and PSEUDO_SCALARS "
            "in atmodist.pretext.augmentation do."
        )
    winds = [name for name in channels if name in NORTHWARD_WINDS]
    if winds and reverse:
        raise ValueError(
            f"reversing time would have to change the sign of {', '.join(winds)}, which it does "
            "not; use --reverse false."
        )


def mirror_north_south(
    fields: Any, channels: Sequence[str], normalization: Normalization | None = None
) -> Any:
    """Exchanges north and south, as the flow's symmetry demands.

    Args:
        fields: (..., latitude, longitude, channel), normalised.
        channels: Names of the channels; those in `PSEUDO_SCALARS` change sign, those in `SCALARS`
            do not, and others are refused.
        normalization: What the fields were normalised with; None if they are physical.

    Returns:
        A tensor of the same shape. Mirroring twice gives the fields again, to rounding.
    """
    require_known_symmetries(channels, mirror=True, reverse=False)
    flipped = tf.reverse(fields, axis=[-3])
    if not set(channels) & PSEUDO_SCALARS:
        return flipped
    columns = [
        _opposite(flipped[..., c], normalization, c) if name in PSEUDO_SCALARS else flipped[..., c]
        for c, name in enumerate(channels)
    ]
    return tf.stack(columns, axis=-1)


def _opposite(y: Any, normalization: Normalization | None, c: int) -> Any:
    """Returns the normalised value of -x, given that of x."""
    if normalization is None:
        return -y
    log_mean, log_std = float(normalization.log_mean[c]), float(normalization.log_std[c])
    shift = 2.0 * float(normalization.mean[c] / normalization.std[c])
    if abs(shift) <= 2.0 * NEGLIGIBLE_MEAN:
        return -y - 2.0 * log_mean / log_std
    s = y * log_std + log_mean
    z = -signed_expm1(s, tf.experimental.numpy) / normalization.alpha - shift
    log = signed_log1p(normalization.alpha * z, tf.experimental.numpy)
    return (log - log_mean) / log_std


def reverse_time(pairs: Any) -> Any:
    """Mirrors both fields east-west and exchanges them.

    Args:
        pairs: (batch, 2, latitude, longitude, channel).
    """
    return tf.reverse(pairs, axis=[1, 3])


def random_symmetries(
    transformations: Sequence[Callable[[Any], Any]], *, seed: int, epoch: int
) -> Callable[[Any, Any], Any]:
    """Makes the function that applies each transformation to half of the pairs of a batch.

    Args:
        transformations: Functions of pairs, independent of each other.
        seed: With `epoch`, and the number of the batch, decides which pairs.
        epoch: Counted from 0.

    Returns:
        A function of (number of the batch, pairs (batch, 2, latitude, longitude, channel)), for
        use inside `tf.data`.
    """
    keys = np.random.SeedSequence([seed, epoch]).generate_state(len(transformations), np.uint32)

    def augment(batch: Any, pairs: Any) -> Any:
        for key, transform in zip(keys, transformations, strict=True):
            words = tf.stack([tf.constant(key, tf.int64), tf.cast(batch, tf.int64)])
            coin = tf.random.stateless_uniform([tf.shape(pairs)[0]], words) < 0.5
            pairs = tf.where(coin[:, None, None, None, None], transform(pairs), pairs)
        return pairs

    return augment
