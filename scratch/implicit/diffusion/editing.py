"""Editing pictures in the latent: image to image, and inpainting through a decoder.

Both take a denoiser D(z, sigma) = E[z0 | z0 + sigma eps = z], for instance that of a prompt under guidance
(latent_diffusion.py, guided).  z0 is the latent of a picture.

Image to image.  Noise of level sigma hides what is finer than sigma and leaves the rest.  So
    z = z0 + sigma eps                                                                         (1)

is carried down the ODE by the D of another prompt.  At a small sigma the picture stays, at a large one it is a new
picture of the prompt (SDEdit; Meng et al. 2022, "SDEdit: Guided Image Synthesis and Editing with
Stochastic Differential Equations", algorithm 1, here with the ODE).

Inpainting.  Some pixels are known: y, each with a standard deviation std, which is the error of the
autoencoder.  Wanted is D' = E[z0 | z, y].  Take p(z0 | z) = N(D, r^2 I) with the r^2 that it has where z0 ~
N(0, s^2 I), and the decoder f as linear around D, with J = df/dz of the known pixels.  Then p(z0 | z, y) is Gaussian,
    r^2 = sigma^2 s^2 / (sigma^2 + s^2)                                                        (2)
    D'  = D + (J^T J + std^2 / r^2 I)^-1 J^T (y - f(D))                                        (3)

a damped Gauss-Newton step towards the known pixels.  As the noise falls r does too, and D' keeps closer to D.
(3) is exact for z0 ~ N(0, s^2 I) and a linear decoder.  It is the method of Song et al. 2023,
"Pseudoinverse-Guided Diffusion Models for Inverse Problems", section 3, without the Jacobian of D and
with a decoder in place of a matrix.  Stable Diffusion's latents are a small picture, whose known part can be put
back after each step (completion.py).  Latents that are no picture need the decoder.
Checked in tests/implicit/diffusion/test_editing.py::test_image_to_image_keeps_what_the_noise_does_not_hide
Checked in tests/implicit/diffusion/test_editing.py::test_known_pixels_are_gaussian_conditioning
Symbols: N rows, L latent coordinates, D the denoiser and its value at z, K known pixels.
"""
import numpy as np

from scratch import checks
from scratch.implicit.diffusion.samplers import heun, karras_sigmas, noise_like


def image_to_image(denoise, z, sigma, rng, *, lowest=0.01, steps=18):
    """Latents (N, L) that begin as z (N, L) with noise of level sigma.  sigma and lowest are in the units of z."""
    z, sigma, rng = checks.rows(z, name="z"), checks.positive(sigma, "sigma"), checks.generator(rng)
    return heun(denoise, z + sigma * noise_like(z, rng), karras_sigmas(steps, lowest, sigma))   # (1)


def with_known_pixels(denoise, decode_jvp, y, known, *, std, scale):
    """The denoiser (3), for any sampler.

    decode_jvp(z, z_dot) -> f (N, pixels), df/dz z_dot.  y (N, K): the pixels in `known`, K places or a mask.
    std: of y; scale: the s of (2), sigma_data of the model.
    """
    checks.function(denoise, "denoise"), checks.function(decode_jvp, "decode_jvp")
    y, std, scale = checks.rows(y, name="y"), checks.positive(std, "std"), checks.positive(scale, "scale")

    def conditioned(z, sigma):
        D = denoise(z, sigma)
        moved = [decode_jvp(D, np.broadcast_to(axis, D.shape)) for axis in np.eye(D.shape[1], dtype=D.dtype)]
        missing = (y - moved[0][0][:, known])[:, :, None]                         # (N, K, 1)
        J = np.stack([f_dot[:, known] for _, f_dot in moved], axis=2)             # (N, K, L)
        damping = std ** 2 * (sigma ** 2 + scale ** 2) / (sigma * scale) ** 2     # (2)
        A = J.swapaxes(1, 2) @ J + damping * np.eye(D.shape[1], dtype=D.dtype)
        return D + np.linalg.solve(A, J.swapaxes(1, 2) @ missing)[:, :, 0].astype(D.dtype)      # (3)
    return conditioned
