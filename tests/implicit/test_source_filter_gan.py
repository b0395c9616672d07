import numpy as np
import pytest

from scratch.data.clips import Clips
from scratch.implicit.objectives import one_centered, relativistic, wasserstein, zero_centered
from scratch.implicit.source_filter_gan import SourceFilterGAN, _convolve, _correlate, _real_map
from scratch.learning.gradient_check import gradient_error

SIZES = dict(latent=2, prior=3, taps=5, periods=(9, 11), hidden=(5,), channels=(2, 3), kernels=(4, 4), strides=(2, 2))


def start(rng, n=4, **options):
    model = SourceFilterGAN(24, **SIZES | options)
    theta = model.init(rng, np.float64)
    return model, theta + 0.1 * rng.standard_normal(theta.shape), rng.standard_normal((n, 24)), model.draw_noise(rng, n)


def test_a_clip_is_the_filtered_source(rng):
    """One number at a time, with the source by its definition: period 9 is k = 1 ... 9, period 11 follows."""
    model, theta, _, (e, _, eps, _) = start(rng, n=5)
    component, pair = np.array([2, 0, 1, 1, 2]), np.array([0, 1, 5, 9, 10 + 7])
    mu, log_std = (theta[model.blocks[f"prior {name}"]].reshape(3, 2) for name in ("mean", "log_std"))
    taps = model.generate(theta, mu[component] + np.exp(log_std[component]) * e)
    fake = model._fake(theta[model.players[0]], e, component * 21 + pair, eps)[0]
    assert taps.shape == (5, 5) and fake.shape == (5, 24)
    for n, (P, j) in enumerate([(None, None), (9, 0), (9, 4), (9, 8), (11, 7)]):
        def u(t):
            noise = eps[n, t % 24]
            return noise if P is None else np.sqrt(0.98 * P) * ((t - j) % P == 0) + np.sqrt(0.02) * noise
        clip = [sum(taps[n, i] * u(t - i) / np.sqrt(5) for i in range(5)) for t in range(24)]
        np.testing.assert_allclose(fake[n], clip, rtol=1e-12, atol=1e-13)


def test_filtering_and_its_pullback_are_transposes(rng):
    """<dx, h * u> = <correlation of dx and u, h>, for even and odd lengths, and for complex h."""
    for dim, taps, length in ((24, 5, 28), (24, 5, 30), (7, 7, 13), (16, 1, 16)):
        u, h, dx = (rng.normal(size=(3, size)) for size in (dim + taps - 1, taps, dim))
        spectrum = np.fft.rfft(u, length)
        there, back = _convolve(h, spectrum, length, taps, dim), _correlate(dx, spectrum, length, taps)
        assert abs(np.sum(dx * there) - np.sum(back * h)) < 1e-12
        tiny = _real_map(lambda h: _convolve(h, spectrum, length, taps, dim), h + 1e-30j * dx[:, :1])
        np.testing.assert_allclose(tiny.imag / 1e-30, _convolve(0 * h + dx[:, :1], spectrum, length, taps, dim), rtol=1e-9,
                                   atol=1e-12)


@pytest.mark.parametrize("game", [(relativistic, zero_centered, 0.3), (wasserstein, one_centered, 0.7)])
def test_each_block_is_the_gradient_of_its_players_own_loss(game, rng):
    model, theta, x, noise = start(rng, **dict(zip(("objective", "penalty", "gamma"), game)))
    _, field = model.loss(theta, x, noise)
    for player, block in enumerate(model.players):
        def own_loss(part):
            moved = theta.astype(part.dtype)
            moved[block] = part
            return model.loss(moved, x, noise)[0][player]
        assert np.abs(field[block]).max() > 1e-6
        assert gradient_error(own_loss, theta[block], field[block]) < 1e-10


def test_the_source_is_that_of_the_clips(rng):
    """Its power is 1, and pitch, phase and voicing have the probabilities of data/clips.py."""
    model = SourceFilterGAN(512)
    component, k = np.divmod(model.draw_noise(rng, 4000)[1], 1 + sum(model.periods))
    assert (np.bincount(component) // 20 == 3).all()        # 62 or 63 of each of 64
    assert abs(np.mean(k > 0) - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 4000)
    law, counts = Clips(), np.bincount(k[k > 0], minlength=1 + sum(model.periods))[1:]
    period = np.repeat(law.periods, law.periods)
    shares = np.array([counts[period == P].sum() for P in law.periods]) / counts.sum()
    assert np.abs(shares - 1 / 49).max() < 5 * np.sqrt(1 / 49 / 3000)
    u = model.source(k, rng.standard_normal((4000, 512)))
    assert u.shape == (4000, 512 + 191)
    power = np.mean(u[:, 191:] ** 2, axis=1)
    assert abs(power.mean() - 1) < 5 * power.std() / np.sqrt(4000)


def test_the_true_filter_makes_clips_that_the_distribution_recognizes(rng):
    """The response of 1 / A in place of the network: the posterior finds vowel, period and phase of nearly every clip."""
    law, model = Clips(), SourceFilterGAN(512)
    response = law._filters[2][:, :192]
    k, f = model._numbered(np.zeros(20, int), rng), rng.integers(60, size=20)
    x = _convolve(response[f], np.fft.rfft(model.source(k, rng.standard_normal((20, 512))), 720), 720, 192, 512)
    x /= np.sqrt(np.sum(response[f] ** 2, axis=1, keepdims=True))
    assert np.mean(law.best(x)[0] // 6 == f // 6) >= 0.9


def test_samples_follow_the_seed_and_bad_sizes_are_refused(rng):
    model, theta, x, noise = start(rng)
    np.testing.assert_array_equal(*(model.sample(theta, 3, np.random.default_rng(1)) for _ in range(2)))
    for change, error, says in ((dict(taps=0), ValueError, "taps"), (dict(periods=3), TypeError, "periods"),
                                (dict(dim=10), ValueError, "multiple of the strides")):
        with pytest.raises(error, match=says):
            SourceFilterGAN(**dict(dim=24) | SIZES | change)
