import numpy as np
import pytest

from scratch.data.vowels import Wavetables
from scratch.implicit.gan import GAN, non_saturating, one_centered, relativistic, wasserstein, zero_centered
from scratch.implicit.wave_gan import WaveGAN
from scratch.kernels.convnet import convnet_views
from scratch.learning.gradient_check import complex_step, gradient_error
from scratch.learning.training import fit

SIZES = dict(latent=2, prior=3, hidden=(5,), channels=(2, 3), kernels=(4, 4), strides=(2, 2))
GAMES = [(relativistic, zero_centered, 0.3), (wasserstein, one_centered, 0.7), (non_saturating, zero_centered, 0.0)]


def start(rng, objective=relativistic, penalty=None, gamma=None, n=4, **options):
    """A model with its three arguments of loss, at a random point."""
    model = WaveGAN(8, objective=objective, penalty=penalty, gamma=gamma, **SIZES | options)
    theta = model.init(rng, np.float64)
    theta = theta + 0.1 * rng.standard_normal(theta.shape)
    return model, theta, rng.standard_normal((n, 8)), model.draw_noise(rng, n)


def silu(a):
    return a / (1 + np.exp(-a))


def naive_generator(model, theta, z):
    """One waveform of 8 samples from z, one number at a time."""
    (W_1, b_1), (W_2, b_2), (W_3, b_3), (W_4, b_4) = convnet_views(
        theta[:model.blocks["generator b4"].stop], model.generator_layers)
    f = np.concatenate([z, np.sin(z), np.sin(2 * z), np.cos(z), np.cos(2 * z)])
    h = silu(silu(f @ W_1 + b_1) @ W_2 + b_2).reshape(2, 3)             # 2 times, 3 channels
    for W, b, taps, out in ((W_3, b_3, 4, 2), (W_4, b_4, 4, 1)):
        y = np.tile(b, (2 * len(h), 1))
        for t, c, j, o in np.ndindex(*h.shape, taps, out):
            y[(2 * t + j) % len(y), o] += h[t, c] * W[c, j * out + o]   # m = 2: no stride to the left
        h = y if out == 1 else silu(y)
    return h[:, 0]


def naive_discriminator(model, theta, x, shift=0):
    """The logit of one waveform; shift: of the second layer's input."""
    (W_1, b_1), (W_2, b_2), (W_3, b_3), (W_4, b_4) = convnet_views(theta[model.players[1]], model.discriminator_layers)
    h = x[:, None]
    for W, b, roll in ((W_1, b_1, 0), (W_2, b_2, shift)):
        h = np.roll(h, roll, axis=0)
        y = np.tile(b, (len(h) // 2, 1)).astype(h.dtype)
        for t, j, c, o in np.ndindex(len(y), 4, h.shape[1], len(b)):
            y[t, o] += h[(2 * t + j) % len(h), c] * W[j * h.shape[1] + c, o]
        h = silu(y)
    h = h.mean(axis=0) if model.pool else h.ravel()
    return (silu(h @ W_3 + b_3) @ W_4 + b_4)[0]


@pytest.mark.parametrize("pool", [False, True])
def test_both_networks_are_naive_loops(pool, rng):
    model, theta, x, _ = start(rng, pool=pool)
    z = rng.standard_normal((3, 2))
    np.testing.assert_allclose(model.generate(theta, z), [naive_generator(model, theta, row) for row in z], rtol=1e-12)
    np.testing.assert_allclose(model.logits(theta, x), [naive_discriminator(model, theta, row) for row in x], rtol=1e-12)


def test_the_loss_and_its_noise_are_those_of_gan(rng):
    """The relativistic loss with R1 and R2, from the naive networks, with z and s as gan.py has them."""
    model, theta, x, noise = start(rng, gamma=0.3, n=3)
    e, k, eps, _ = noise
    mu, std = theta[model.blocks["prior mean"]].reshape(3, 2), np.exp(theta[model.blocks["prior log_std"]]).reshape(3, 2)
    s = 0.1 * np.exp(theta[model.blocks["t"]][0] / 10)
    assert model.output_std(theta) == pytest.approx(s)
    losses = np.zeros(2)
    for i in range(3):
        fake = naive_generator(model, theta, mu[k[i]] + std[k[i]] * e[i]) + s * eps[i]
        gap = naive_discriminator(model, theta, x[i]) - naive_discriminator(model, theta, fake)
        slopes = [complex_step(lambda row: naive_discriminator(model, theta, row), row, axis)
                  for row in (x[i], fake) for axis in np.eye(8)]
        losses += np.log1p(np.exp(gap)) / 3, (np.log1p(np.exp(-gap)) + 0.15 * np.sum(np.square(slopes))) / 3
    np.testing.assert_allclose(model.loss(theta, x, noise)[0], losses, rtol=1e-12)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("options", [{}, dict(pool=True, phase_shuffle=2), dict(circular=False, shifted=True)])
def test_each_block_is_the_gradient_of_its_players_own_loss(game, options, rng):
    model, theta, x, noise = start(rng, *game, **options)
    _, field = model.loss(theta, x, noise)
    for player, block in enumerate(model.players):
        def own_loss(part):
            moved = theta.astype(part.dtype)
            moved[block] = part
            return model.loss(moved, x, noise)[0][player]
        assert np.abs(field[block]).max() > 1e-6
        assert gradient_error(own_loss, theta[block], field[block]) < 1e-10


def test_phase_shuffle_rolls_every_convolution_but_the_first(rng):
    model, theta, x, (*noise, shifts) = start(rng, wasserstein, gamma=0.0, phase_shuffle=2)
    fake = np.array([naive_generator(model, theta, z) for z in _z(model, theta, noise)])
    fake += model.output_std(theta) * noise[2]
    for shift in (-2, 0, 1):
        loss = model.loss(theta, x, (*noise, np.array([shift])))[0][1]
        real, made = ([naive_discriminator(model, theta, row, shift) for row in rows] for rows in (x, fake))
        assert loss == pytest.approx(np.mean(made) - np.mean(real), rel=1e-11)
    drawn = [model.draw_noise(rng, 2)[4] for _ in range(300)]
    assert all(part.shape == (1,) for part in drawn) and set(np.ravel(drawn)) == {-2, -1, 0, 1, 2}
    assert model.logits(theta, x)[0] == pytest.approx(naive_discriminator(model, theta, x[0]))      # no shift outside
    with pytest.raises(TypeError, match="noise"):
        model.loss(theta, x, tuple(noise))


def _z(model, theta, noise):
    mu, log_std = (theta[model.blocks[f"prior {name}"]].reshape(-1, 2) for name in ("mean", "log_std"))
    return mu[noise[1]] + np.exp(log_std[noise[1]]) * noise[0]


def test_a_shifted_generator_rolls_each_row_by_its_own_shift_all_equally_likely(rng):
    model, theta, _, (e, k, eps, _) = start(rng, shifted=True)
    k = np.array([0 * 8 + 3, 2 * 8 + 0, 1 * 8 + 7, 2 * 8 + 5])
    rows = model._fake(theta[model.players[0]], e, k, eps)[0]
    for i, z in enumerate(_z(model, theta, (e, k // 8))):
        y = naive_generator(model, theta, z) + model.output_std(theta) * eps[i]
        np.testing.assert_allclose(rows[i], [y[(t - k[i] % 8) % 8] for t in range(8)], rtol=1e-12, atol=1e-14)
    component, shift = np.divmod(model.draw_noise(rng, 3000)[1], 8)
    assert np.abs(np.bincount(shift, minlength=8) - 375).max() < 5 * np.sqrt(375) and set(component) == {0, 1, 2}
    theta[model.blocks["generator W1"]] = 0                 # one waveform, in all phases
    x = model.sample(theta, 400, rng)
    assert np.abs(x.mean(axis=0) - x.mean()).max() < 5 * x.std() / 20


def test_a_pooled_discriminator_does_not_see_a_shift_by_the_product_of_the_strides(rng):
    for pool in (True, False):
        model, theta, x, _ = start(rng, pool=pool)
        assert np.allclose(model.logits(theta, x), model.logits(theta, np.roll(x, 4, axis=1)), rtol=1e-12) == pool
        assert not np.allclose(model.logits(theta, x), model.logits(theta, np.roll(x, 2, axis=1)), rtol=1e-6)


def test_with_one_latent_cell_the_density_is_a_gaussian_around_the_waveform(rng):
    """A generator that does not move with z: q(x) = N(x; G, s^2 I)."""
    model, theta, x, _ = start(rng)
    theta[model.blocks["generator W1"]] = 0
    mean, s = model.generate(theta, np.zeros((1, 2)))[0], model.output_std(theta)
    x = mean + s * x
    exact = -0.5 * np.sum((x - mean) ** 2, axis=1) / s ** 2 - 8 * np.log(s * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(model.log_prob(theta, x), exact, rtol=1e-9)


def test_blocks_name_every_layer():
    model = WaveGAN(8, **SIZES)
    parts = [f"{name}{layer}" for layer in (1, 2, 3, 4) for name in "Wb"]
    assert list(model.blocks) == [*(f"generator {part}" for part in parts), "prior mean", "prior log_std", "t",
                                  *(f"discriminator {part}" for part in parts)]
    assert [layer.sizes for layer in WaveGAN(64).generator_layers] == [(20, 128), (128, 128), (128, 256), (256, 64)]
    assert [layer.sizes for layer in WaveGAN(64).discriminator_layers] == [(64, 256), (256, 128), (128, 128), (128, 1)]
    assert isinstance(model, GAN)


def test_the_relativistic_game_brings_a_gamma_of_its_own_and_the_others_those_of_gan():
    assert (WaveGAN(64).gamma, WaveGAN(64).penalty.last, WaveGAN(64, gamma=0.3).gamma) == (1.0, 2e-3, 0.3)
    assert (WaveGAN(64, objective=wasserstein).gamma, WaveGAN(64, penalty=zero_centered).penalty) == (10.0, zero_centered)
    assert WaveGAN(64, objective=non_saturating).gamma == 0.0


def test_float32_stays_float32_through_a_run(rng):
    model = WaveGAN(64)
    assert fit(model, model.init(rng), Wavetables(), rng, steps=2).dtype == np.float32


@pytest.mark.parametrize("change, error, says", [
    (dict(dim=10), ValueError, "multiple of the strides' product 4"), (dict(channels=4), TypeError, "channels"),
    (dict(kernels=(4,)), ValueError, "an entry for each convolution"), (dict(strides=()), ValueError, "an entry for each"),
    (dict(kernels=(25, 4)), ValueError, "multiples of the stride"), (dict(pool="mean"), TypeError, "pool must be"), (dict(shifted=1), TypeError, "shifted must be"),
    (dict(phase_shuffle=-1), ValueError, "phase_shuffle"), (dict(gamma=-1.0), ValueError, "gamma"),
    (dict(phase_shuffle=1.5), TypeError, "phase_shuffle"),
])
def test_bad_sizes_are_refused(change, error, says):
    with pytest.raises(error, match=says):
        WaveGAN(**dict(dim=8) | SIZES | change)
