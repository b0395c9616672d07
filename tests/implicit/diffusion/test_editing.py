import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit.diffusion.editing import image_to_image, with_known_pixels
from scratch.implicit.diffusion.samplers import heun, karras_sigmas

S = 0.8                                                     # std of the latents
LAW = GaussianMixture([[0.0] * 3], [S ** 2 * np.eye(3)], [1.0])
TWO = GaussianMixture([[-4.0, -1.0], [-4.0, 1.0], [4.0, -1.0], [4.0, 1.0]], [0.01 * np.eye(2)] * 4, [0.25] * 4)


def linear(rng, pixels=5):
    """A decoder f = z B + b as (decode_jvp, B, b)."""
    B, b = rng.normal(size=(3, pixels)), rng.normal(size=pixels)
    return lambda z, z_dot: (z @ B + b, z_dot @ B), B, b


# ---- 1 definition, and 4 exact twin ----

def test_known_pixels_are_gaussian_conditioning(rng):
    """E[z0 | z, y] of jointly Gaussian (z0, z, y), by the formula for Gaussians, row by row."""
    decode_jvp, B, b = linear(rng)
    known, std, z, y = [0, 3], 0.3, rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    for sigma in (0.05, 0.7, 20.0):
        denoise = with_known_pixels(LAW.denoise, decode_jvp, y, known, std=std, scale=S)
        H = np.vstack([np.eye(3), B[:, known].T])                                 # (z, y) = H z0 + noise
        noise = np.diag([sigma ** 2] * 3 + [std ** 2] * 2)
        gain = S ** 2 * H.T @ np.linalg.inv(S ** 2 * H @ H.T + noise)
        expected = [gain @ np.concatenate([z[n], y[n] - b[known]]) for n in range(4)]
        np.testing.assert_allclose(denoise(z, sigma), expected, rtol=1e-9)


def test_samples_with_known_pixels_follow_the_posterior(rng):
    decode_jvp, B, b = linear(rng)
    known, std, n = np.array([True, False, False, False, True]), 0.3, 4000
    y = np.array([1.0, -0.5])
    denoise = with_known_pixels(LAW.denoise, decode_jvp, np.tile(y, (n, 1)), known, std=std, scale=S)
    z = heun(denoise, 40 * rng.standard_normal((n, 3)), karras_sigmas(24, 0.01, 40.0))
    A = B[:, known] @ B[:, known].T / std ** 2 + np.eye(3) / S ** 2
    covariance = np.linalg.inv(A)
    mean = covariance @ B[:, known] @ (y - b[known]) / std ** 2
    assert (np.abs(z.mean(axis=0) - mean) < 5 * np.sqrt(np.diag(covariance) / n) + 0.01).all()
    assert np.abs(np.cov(z.T) - covariance).max() < 5 * S ** 2 * np.sqrt(2 / n) + 0.01


# ---- 3 what noise hides and what it leaves ----

def test_image_to_image_keeps_what_the_noise_does_not_hide(rng):
    """Four modes, far apart along one axis and near along the other: sigma = 0.7 hides the near ones only."""
    n = 2000
    z = TWO.sample(n, rng)
    kept = {}
    for sigma in (0.05, 0.7, 30.0):
        new = image_to_image(TWO.denoise, z, sigma, rng, steps=30)
        kept[sigma] = (np.sign(new) == np.sign(z)).mean(axis=0)
        assert (np.abs(np.abs(new) - [4, 1]).mean(axis=0) < 0.15).all()           # they are samples again
    assert (kept[0.05] == 1).all()
    assert kept[0.7][0] == 1 and 0.8 < kept[0.7][1] < 0.95
    assert (np.abs(kept[30.0] - 0.5) < 0.05 + 5 * 0.5 / np.sqrt(n)).all()


def test_float32_stays_float32(rng):
    decode_jvp, *_ = linear(rng)
    z = rng.normal(size=(4, 3)).astype(np.float32)
    denoise = with_known_pixels(lambda z, sigma: z / np.float32(2), decode_jvp, rng.normal(size=(4, 2)), [0, 1],
                                std=0.1, scale=1.0)
    assert denoise(z, 0.5).dtype == image_to_image(denoise, z, 1.0, rng, steps=2).dtype == np.float32


@pytest.mark.parametrize("change, error, says", [
    (dict(sigma=0.0), ValueError, "sigma must be a positive"),
    (dict(sigma=0.001), ValueError, "sigma_min must be below"),
    (dict(rng=3), TypeError, "Generator"),
    (dict(z=np.zeros(3)), ValueError, "z must have shape"),
])
def test_bad_input_is_named(change, error, says, rng):
    good = dict(denoise=TWO.denoise, z=np.ones((2, 2)), sigma=1.0, rng=rng)
    with pytest.raises(error, match=says):
        image_to_image(**good | change)
    with pytest.raises(ValueError, match="std must be a positive"):
        with_known_pixels(TWO.denoise, TWO.denoise, np.ones((2, 1)), [0], std=0.0, scale=1.0)
