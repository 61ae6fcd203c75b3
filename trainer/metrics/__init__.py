"""Numbers that say how near a clip is to the true one. `table.py` lists them all; each kind has a room of its own."""

from trainer.metrics.frechet import Gaussian, Moments, frechet_distance
from trainer.metrics.pixels import gradient_similarity, psnr, ssim

__all__ = ["Gaussian", "Moments", "frechet_distance", "gradient_similarity", "psnr", "ssim"]
