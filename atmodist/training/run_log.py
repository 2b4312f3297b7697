"""What a run tells while it goes: a CSV file, and the events of TensorBoard where it is installed.

Both are made of rows, dictionaries of plain values with "step" among them.
"""

import contextlib
import importlib.util
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atmodist.files.outputs import write_csv

EVENTS = "tensorboard"  # folder within the output
NOT_EVENTS = ("epoch", "step")
PNG_SIZE = slice(16, 24)  # width and height, in the header of a PNG file
RGB = 3


class RunLog:
    """The log of a run in one folder: `log.csv`, `tensorboard/`."""

    def __init__(self, output: Path):
        self._output = output
        self._writer: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            with self._naming_events():
                self._writer = EventFileWriter(str(output / EVENTS))

    def write(self, history: list[dict[str, Any]]) -> None:
        """Writes all rows as CSV, and the last one as events."""
        write_csv(self._output / "log.csv", history)
        if not history:
            return
        row = history[-1]
        scalars = {k: v for k, v in row.items() if isinstance(v, int | float)}
        events = [
            {"tag": name, "simple_value": value}
            for name, value in scalars.items()
            if name not in NOT_EVENTS
        ]
        self._add(events, row["step"])

    def picture(self, name: str, path: Path, step: int) -> None:
        """Shows a PNG file as an event."""
        content = path.read_bytes()
        width, height = struct.unpack(">II", content[PNG_SIZE])
        image = {"width": width, "height": height, "colorspace": RGB}
        self._add([{"tag": name, "image": {**image, "encoded_image_string": content}}], step)

    def _add(self, values: list[dict[str, Any]], step: int) -> None:
        if self._writer is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        with self._naming_events():
            self._writer.add_event(event)
            self._writer.flush()

    @contextlib.contextmanager
    def _naming_events(self) -> Iterator[None]:
        # Errors of its file system are TensorFlow's where that is installed: no OSErrors.
        try:
            yield
        except Exception as error:
            reason = str(getattr(error, "message", error)).splitlines()[0]
            raise OSError(
                f"cannot write the log for TensorBoard in {self._output / EVENTS}: {reason}"
            ) from error
