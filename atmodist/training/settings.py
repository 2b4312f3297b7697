"""Settings that all trainings share; imports nothing heavy."""

from typing import Literal

PrecisionName = Literal["float32", "mixed_bfloat16", "mixed_float16"]
DevicesName = Literal["one", "machine", "cluster"]
