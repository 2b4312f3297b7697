"""The statistics, one module each, found in `STATISTICS`."""

from atmodist.files.discovery import Registry
from evaluation.contract.statistic import Statistic

STATISTICS: Registry[Statistic] = Registry(__name__, "STATISTIC", what="statistic", kind=Statistic)
