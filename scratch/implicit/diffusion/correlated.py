"""Diffusion of correlated data: the best linear denoiser in closed form, and a network for the rest.

Neighboring pixels are alike, so the principal axes of patches have standard deviations (stds) s_i from
0.1 to 7.  One scale s for all of them, as in denoiser.py, makes the network learn the covariance too.

Model.   x is given in its principal axes: with the mean m of its class and the eigenvectors U of the
covariance, x = (pixels - m) U.  U is a rotation, so noise sigma eps stays isotropic, and log p of x is
log p of the pixels.  Along axis i the best linear denoiser, the Wiener filter, is
s_i^2 / (sigma^2 + s_i^2) x_i.  So each axis has the scales of denoiser.py with its own s_i:
    xhat_i  = c_skip,i x_i + c_out,i F_i(c_in x, c_noise)                                      (1)
    c_skip,i = s_i^2 / (sigma^2 + s_i^2),       c_in,i = 1 / sqrt(sigma^2 + s_i^2)             (2)
    c_out,i  = s_i sigma c_in,i,                c_noise = 1/4 log(sigma / s),  s^2 = mean of s_i^2

With F = 0 this is exactly the denoiser of N(0, diag s_i^2), and the model is that Gaussian.  F has to
learn only what is not Gaussian.  Loss, gradient and classes are those of conditioning.py.
Source: the scales are those of Karras et al. 2022 (denoiser.py); one for each axis is our own choice.

Why not whitening (x_i / s_i, by Standardized)?  With F = 0 it is the same Gaussian.  But after whitening
noise of one level hides all axes alike, and the loss weighs an axis without structure like any other.  On
N healthy patches of data/tissue.py and their turns (1,500 steps, batch 256, hidden 128-128, 3 seeds; 64
dimensions), KL in nats:
    N           100           1,000
    per axis    11.4 to 12.8  1.89 to 1.96
    whitened    44 to 57      2.05 to 2.33

Checked in tests/implicit/diffusion/test_correlated.py::test_the_loss_is_the_square_along_each_axis
Checked in tests/implicit/diffusion/test_correlated.py::test_without_a_network_it_is_the_gaussian_of_its_stds
Symbols: N batch, D data, C classes.  noise is (eps (N, D), sigma (N,), withheld (N,)).
"""
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.conditioning import ConditionalDiffusion
from scratch.learning.training import USUAL_STD


@dataclass(frozen=True)
class CorrelatedDiffusion(ConditionalDiffusion):
    """A ConditionalDiffusion for rows [x_1 ... x_D, c] in principal axes with standard deviations stds.

    stds: D positive numbers, by default 1.5 each.  sigma_data, their root mean square, sets the levels.

    >>> model = CorrelatedDiffusion(2, stds=(3.0, 1.0))
    >>> model.denoise(np.zeros(model.size), np.array([[5.0, 5.0]]), sigma=1.0)    # 9/10 x and 1/2 x
    array([[4.5, 2.5]])
    """
    _: KW_ONLY
    sigma_data: float = field(default=USUAL_STD, init=False)
    stds: tuple = None
    frequencies: tuple = field(default=(), init=False)      # no sines of x: in 64 dimensions 512 inputs more

    def __post_init__(self):
        dim = checks.size(self.dim, "dim")
        stds = checks.constant((USUAL_STD,) * dim if self.stds is None else self.stds, "stds", (dim,))
        if not (stds > 0).all():
            raise ValueError(f"stds must be positive, got {checks.brief(stds)}")
        object.__setattr__(self, "stds", tuple(stds.tolist()))
        object.__setattr__(self, "sigma_data", float(np.sqrt(np.mean(stds ** 2))))
        super().__post_init__()

    def _scales(self, sigma):
        """c_skip, c_out, c_in, (N, D), and c_noise, (N, 1), for sigma (N, 1)."""
        s = np.array(self.stds, np.result_type(sigma))
        total = sigma * sigma + s * s                                             # (N, D)
        c_in = 1 / np.sqrt(total)
        return s * s / total, s * sigma * c_in, c_in, 0.25 * np.log(sigma / self.sigma_data)    # (2)
