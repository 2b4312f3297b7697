"""What a run tells while it goes: a CSV file, and the events of TensorBoard where it is installed.

Both are made of rows, dictionaries of plain values with "step" among them.
"""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from atmodist.files.outputs import write_csv

EVENTS = "tensorboard"  # folder within the output
NOT_EVENTS = ("epoch", "step")


class RunLog:
    """The log of a run in one folder: `log.csv`, `tensorboard/`."""

    def __init__(self, output: Path):
        self._output = output
        self._writer = self._open_writer()

    def write(self, history: list[dict[str, Any]]) -> None:
        """Writes all rows as CSV, and the last one as events."""
        write_csv(self._output / "log.csv", history)
        if self._writer is None or not history:
            return
        row = history[-1]
        with self._naming_events(), self._writer.as_default():
            for name, value in row.items():
                if isinstance(value, int | float) and name not in NOT_EVENTS:
                    tf.summary.scalar(name, value, step=row["step"])
            self._writer.flush()

    def picture(self, name: str, path: Path, step: int) -> None:
        """Shows a PNG file as an event."""
        if self._writer is None:
            return
        image = tf.io.decode_png(tf.io.read_file(str(path)), channels=3)
        with self._naming_events(), self._writer.as_default():
            tf.summary.image(name, image[tf.newaxis], step=step)
            self._writer.flush()

    def _open_writer(self) -> Any:
        # TensorFlow does not install TensorBoard, and fails at the first scalar without it.
        if importlib.util.find_spec("tensorboard") is None:
            return None
        with self._naming_events():
            return tf.summary.create_file_writer(str(self._output / EVENTS))

    @contextlib.contextmanager
    def _naming_events(self) -> Iterator[None]:
        # TensorFlow's own errors are no OSErrors, and would be searched for in the records.
        try:
            yield
        except tf.errors.OpError as error:
            reason = str(error.message).splitlines()[0]
            raise OSError(
                f"cannot write the log for TensorBoard in {self._output / EVENTS}: {reason}"
            ) from error
