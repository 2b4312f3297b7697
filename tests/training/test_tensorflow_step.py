import numpy as np
import tensorflow as tf

from atmodist.training.tensorflow_step import mean_over_parts, part_of


def test_parts_of_a_batch_are_in_order_and_their_mean_is_that_of_the_batch():
    x = tf.random.stateless_normal((6, 3), seed=(1, 2))
    batch = {"x": x, "number": tf.range(6)}
    parts = [part_of(batch, k, 3) for k in range(3)]
    np.testing.assert_array_equal(tf.concat([part["number"] for part in parts], 0), range(6))
    np.testing.assert_array_equal(parts[1]["x"], x[2:4])

    @tf.function
    def mean(parts):
        return mean_over_parts(lambda x: [tf.reduce_mean(x**2, axis=0)], (x,), parts)[0]

    for number in (1, 2, 3, 6):
        np.testing.assert_allclose(mean(number), np.mean(x.numpy() ** 2, axis=0), rtol=1e-6)
