"""Our classes inside saved networks, made known to Keras before anybody imports them.

Keras builds the classes that a file names only if somebody registered them, which importing their
modules does. So that `import atmodist` is enough to load whatever holds them, without importing
Keras by itself (seconds), a stand-in is registered for each as soon as Keras is there. It imports
the real class when a file asks for it, whereupon that takes its place.
"""

import importlib
import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Registered name to module; by name, for some of the modules stand above this package.
CLASSES = {
    "atmodist>ContentLoss": "atmodist.metric.content_loss",
    "atmodist>HaloRefresh": "atmodist.metric.receptive_field",
    "atmodist>CumulativeLink": "atmodist.pretext.ordinal",
    "srgan>SubPixel": "srgan.networks.layers",
    "srgan>SpaceToDepth": "srgan.networks.layers",
    "srgan>SubPixelInitializer": "srgan.networks.layers",
    "srgan>BlockMeanProjection": "srgan.networks.layers",
}


class StandIn:
    """Stands for a class until a file asks for it."""

    def __init__(self, name: str):
        self._name = name

    def from_config(self, config: dict[str, Any]) -> Any:
        """Imports the class and makes an instance of it, as Keras asks of any class."""
        module = importlib.import_module(CLASSES[self._name])
        return getattr(module, self._name.split(">")[1]).from_config(config)


def make_known() -> None:
    """Registers stand-ins now if Keras is imported, otherwise as soon as it is."""
    if "keras" in sys.modules:
        _register()
    elif not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterKeras())


def _register() -> None:
    known = sys.modules["keras"].saving.get_custom_objects()
    for name in CLASSES:
        known.setdefault(name, StandIn(name))


class _AfterKeras(MetaPathFinder):
    """Leaves the import of Keras to whoever does it, and registers afterwards."""

    _is_asking = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "keras" or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_asking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                # Not before: TensorFlow asks where Keras is, and imports it later.
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                execute(module)
                _register()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
