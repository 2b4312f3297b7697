"""What our networks need of Keras, whatever a user's keras.json says.

`~/.keras/keras.json` (or that in KERAS_HOME) may ask for float64, float16 or channels first. Our
fields are float32 and have their channels last, and mixed precision is a setting of a run.
"""

import contextlib
from collections.abc import Iterator

FLOATX, DATA_FORMAT = "float32", "channels_last"


def settle_keras() -> None:
    """Sets Keras up for the rest of the process; for commands, whose process is ours."""
    import keras

    keras.config.set_floatx(FLOATX)
    keras.config.set_image_data_format(DATA_FORMAT)
    keras.config.set_dtype_policy(FLOATX)


@contextlib.contextmanager
def settled_keras() -> Iterator[None]:
    """Sets Keras up inside, and as it was afterwards; for functions that anybody may call."""
    import keras

    floatx, data_format = keras.config.floatx(), keras.config.image_data_format()
    policy = keras.config.dtype_policy()
    settle_keras()
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_image_data_format(data_format)
        keras.config.set_dtype_policy(policy)
