from .distributions import wasserstein
from .ensembles import crps, spread
from .errors import acc, bias, correlation, mae, mse, rmse, total_variation
from .moments import moments
from .semivariogram import semivariogram
from .spectra import effective_resolution, energy_spectrum, level_difference, power_spectrum
from .structure import fss, psnr, ssim

__all__ = [
    "acc",
    "bias",
    "correlation",
    "crps",
    "effective_resolution",
    "energy_spectrum",
    "fss",
    "level_difference",
    "mae",
    "moments",
    "mse",
    "power_spectrum",
    "psnr",
    "rmse",
    "semivariogram",
    "spread",
    "ssim",
    "total_variation",
    "wasserstein",
]
