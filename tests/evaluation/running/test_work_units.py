from contextlib import contextmanager

import pytest

from evaluation.contract.configuration import EvaluationConfig
from evaluation.running import work_units


@pytest.mark.parametrize(("candidate", "expected"), [("a=generator:run", True), ("a=a.h5", False)])
def test_workers_of_generators_import_tensorflow_quietly(monkeypatch, candidate, expected):
    @contextmanager
    def pool(num_workers, start, *arguments):
        started.append((num_workers, start, *arguments))
        raise KeyboardInterrupt
        yield

    started = []
    monkeypatch.setattr(work_units, "worker_pool", pool)
    config = EvaluationConfig(reference="r.h5", candidates=[candidate], workers=2)
    units = [work_units.Unit("a", block, ()) for block in range(2)]
    with pytest.raises(KeyboardInterrupt):
        list(work_units.compute(None, units, config, None))
    assert started == [(2, work_units._start_worker, expected)]
