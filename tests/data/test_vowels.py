import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scratch.data import vowels
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.data.vowels import ShiftedWavetables, Wavetables, formants, periods, predictor
from scratch.learning.gradient_check import gradient_error

LAW = Wavetables()
COARSE = Wavetables(noise=0.4, nodes=3)                      # neighbors overlap, so that no posterior is 0 or 1
SHIFTED = ShiftedWavetables(noise=0.4, nodes=3)


def twin(law):
    """The same distribution as a GaussianMixture of V x nodes components."""
    M = len(law.clean)
    return GaussianMixture(law.clean, np.tile(law.noise ** 2 * np.eye(64), (M, 1, 1)), np.full(M, 1 / M))


# ---- the vocal tract ----

def test_the_filter_has_its_poles_at_the_formants(rng):
    """Each pole q e^(i w) has its formant w R / 2 pi and its bandwidth -log q R / pi."""
    vowel, u = rng.integers(10, size=5), rng.random(5)
    for F, A in zip(formants(vowel, u), predictor(formants(vowel, u))):
        poles = sorted((pole for pole in np.roots(A) if pole.imag > 0), key=np.angle)
        np.testing.assert_allclose(np.angle(poles) * 8000 / (2 * np.pi), F, rtol=1e-9)
        np.testing.assert_allclose(-np.log(np.abs(poles)) * 8000 / np.pi, [60, 90, 150, 200], rtol=1e-9)


def test_formants_are_the_table_of_peterson_and_barney():
    assert formants(np.array([0, 9]), np.array([0.0, 0.0])).tolist() == [[267, 2294, 2937, 3300], [489, 1360, 1709, 3300]]
    rounded = [[270, 2290, 3010], [390, 1990, 2550], [530, 1840, 2480], [660, 1720, 2410], [730, 1090, 2440],
               [570, 840, 2410], [440, 1020, 2240], [300, 870, 2240], [640, 1190, 2390], [490, 1350, 1690]]   # as printed
    np.testing.assert_allclose(vowels.FORMANTS, rounded, rtol=0.03)              # the paper's own means, to 3 %
    assert vowels.FORMANTS.sum(axis=0).tolist() == [4999, 14246, 23822]          # against slips in the copy
    high = formants(np.array([7]), np.array([1.0]))[0]
    np.testing.assert_allclose(high / [307, 876, 2239, 3300], 2 ** (np.array([5, 5, 5, 2.5]) / 24))


def test_a_period_is_the_filter_run_on_pulses_until_it_repeats():
    """Klatt's four resonators in a chain, sample by sample, on a pulse every 64 samples; harmonics 0 and 32 removed."""
    for v, u in ((0, 0.3), (5, 1.0)):
        y = np.zeros(64 * 30)
        y[::64] = 1.0
        for F, B in zip(formants(np.array([v]), np.array([u]))[0], (60, 90, 150, 200)):
            C, source = -np.exp(-2 * np.pi * B / 8000), y.copy()
            two = 2 * np.exp(-np.pi * B / 8000) * np.cos(2 * np.pi * F / 8000)
            for t in range(len(y)):
                y[t] = (1 - two - C) * source[t] + two * y[t - 1] * (t > 0) + C * y[t - 2] * (t > 1)
        m, t = y[-64:], np.arange(64)
        m = m - m.mean() - (-1.0) ** t * np.mean((-1.0) ** t * m)
        np.testing.assert_allclose(periods(np.array([v]), np.array([u]))[0], m / m.std(), atol=1e-9)


def test_a_period_has_variance_1_and_no_constant(rng):
    m = periods(rng.integers(10, size=20), rng.random(20))
    np.testing.assert_allclose(m.mean(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(m.var(axis=1), 1, rtol=1e-12)


# ---- the density and what follows from it ----

def test_log_prob_and_posterior_are_the_naive_loop(rng):
    x = COARSE.sample(4, rng)
    p, r = np.zeros(4), np.zeros((4, 10, 3))
    for v in range(10):
        for j, u in enumerate((1 / 6, 3 / 6, 5 / 6)):
            m = periods(np.array([v]), np.array([u]))[0]
            r[:, v, j] = multivariate_normal(m, 0.4 ** 2 * np.eye(64)).pdf(x) / 30
            p += r[:, v, j]
    np.testing.assert_allclose(COARSE.log_prob(x), np.log(p), rtol=1e-12)
    np.testing.assert_allclose(COARSE.posterior(x), r.sum(axis=2) / p[:, None], atol=1e-12)
    np.testing.assert_allclose(COARSE.posterior_of_u(x), 3 * r.sum(axis=1) / p[:, None], atol=1e-12)


def test_the_gaussian_mixture_of_the_nodes_is_the_same_distribution(rng):
    x = COARSE.sample(5, rng) + 0.3 * rng.standard_normal((5, 64))
    for mine, its in ((COARSE.log_prob(x), twin(COARSE).log_prob(x)), (COARSE.score(x), twin(COARSE).score(x)),
                      (COARSE.denoise(x, 0.7), twin(COARSE).denoise(x, 0.7)),
                      (COARSE.noised(0.7).log_prob(x), twin(COARSE).noised(0.7).log_prob(x))):
        np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-9)


def test_score_is_the_gradient_of_log_prob(rng):
    for law in (Wavetables(noise=0.4, nodes=16), SHIFTED):
        x = law.sample(2, rng)
        assert gradient_error(lambda x: law.log_prob(x).sum(), x, law.score(x)) < 1e-10


def test_denoise_is_tweedies_formula(rng):
    for law in (LAW, SHIFTED):
        x, sigma = law.sample(3, rng), 0.5
        x = x + sigma * rng.standard_normal(x.shape)
        np.testing.assert_allclose(law.denoise(x, sigma), x + sigma ** 2 * law.noised(sigma).score(x), atol=1e-10)


def test_the_quadrature_has_converged_at_512_nodes(rng):
    """Against 4,096 nodes: 512 are off by at most 0.05 nats, 128 are not enough, and twice the nodes a quarter of the error."""
    x = LAW.sample(400, rng)
    truth = Wavetables(nodes=4096).log_prob(x)
    error = {nodes: np.abs(Wavetables(nodes=nodes).log_prob(x) - truth).max() for nodes in (128, 256, 512, 1024)}
    assert error[128] > 0.15 and error[512] < 0.05
    assert 2.5 < error[512] / error[1024] < 6


def test_posteriors_sum_to_one_and_are_calibrated(rng):
    """E r(true vowel | x) = E sum_v r(v | x)^2, as a posterior must; with so much noise it is below 1."""
    law = Wavetables(noise=2.0, nodes=32)
    x, vowel, _ = law.draw(4000, rng)
    r = law.posterior(x)
    np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(law.posterior_of_u(x[:50]).mean(axis=1), 1, rtol=1e-12)
    gap = r[np.arange(4000), vowel] - np.sum(r * r, axis=1)
    assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(4000)
    assert 0.3 < np.mean(r.argmax(axis=1) == vowel) < 0.9


def test_the_density_has_mass_one(rng):
    """E p(x) / q(x) = 1 for x of the distribution q with a little more noise."""
    q = LAW.noised(0.03)
    x = q.sample(3000, rng)
    w = np.exp(LAW.log_prob(x) - q.log_prob(x))
    assert w.std() < 1 and abs(w.mean() - 1) < 5 * w.std() / np.sqrt(3000)


def test_entropy_by_samples_and_by_laplaces_method(rng):
    """The second road: the vowel is certain, and u is Gaussian with variance s^2 / |dm/du|^2."""
    log_p = LAW.log_prob(LAW.sample(3000, rng))
    assert abs(LAW.entropy() + log_p.mean()) < 5 * (log_p.std() / np.sqrt(3000) + 0.01)
    vowel, u = np.repeat(np.arange(10), 100), np.tile((np.arange(100) + 0.5) / 100, 10)
    slope = (periods(vowel, u + 1e-4) - periods(vowel, u - 1e-4)) / 2e-4
    of_u = np.mean(0.5 * np.log(2 * np.pi * np.e * 0.1 ** 2 / np.sum(slope ** 2, axis=1)))
    noise = 64 * np.log(0.1 * np.sqrt(2 * np.pi * np.e))
    assert LAW.entropy() == pytest.approx(noise + np.log(10) - of_u, abs=0.06)     # 0.01 of it is the draws' error


def test_samples_follow_the_distribution(rng):
    """Vowels and u are uniform and the noise is white, by the draws and by the posterior."""
    x, vowel, u = LAW.draw(3000, rng)
    assert (np.abs(np.bincount(vowel, minlength=10) - 300) < 5 * np.sqrt(270)).all()
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 3000)
    noise = x - periods(vowel, u)
    assert abs(noise.std() / 0.1 - 1) < 5 / np.sqrt(2 * 3000 * 64)
    found, u_found, rms = LAW.nearest(x)
    assert (found == vowel).all() and np.abs(u_found - u).max() < 0.06
    assert abs(np.mean(rms ** 2) / 0.01 - 63 / 64) < 5 * np.sqrt(2 / 64 / 3000)    # one degree of freedom went into u
    assert np.isfinite(LAW.bounds()).all() and (x > LAW.bounds()[:, 0]).all() and (x < LAW.bounds()[:, 1]).all()


# ---- a random shift ----

def test_the_shifted_density_and_posteriors_are_the_naive_loop(rng):
    x = SHIFTED.sample(3, rng)
    p, vowel, u, shift = 0, 0, 0, np.zeros((3, 64))
    for j in range(64):
        back = np.roll(x, -j, axis=1)
        part = np.exp(COARSE.log_prob(back)) / 64
        p, shift[:, j] = p + part, part
        vowel = vowel + part[:, None] * COARSE.posterior(back)
        u = u + part[:, None] * COARSE.posterior_of_u(back)
    np.testing.assert_allclose(SHIFTED.log_prob(x), np.log(p), rtol=1e-12)
    for mine, naive in ((SHIFTED.posterior(x), vowel), (SHIFTED.posterior_of_u(x), u), (SHIFTED.posterior_of_shift(x), shift)):
        np.testing.assert_allclose(mine, naive / p[:, None], atol=1e-12)


def test_a_shift_shifts_denoiser_and_score_and_leaves_the_density(rng):
    x = SHIFTED.sample(3, rng)
    moved = np.roll(x, 11, axis=1)
    np.testing.assert_allclose(SHIFTED.log_prob(moved), SHIFTED.log_prob(x), rtol=1e-12)
    for function in (SHIFTED.score, lambda x: SHIFTED.denoise(x, 0.5)):
        np.testing.assert_allclose(function(moved), np.roll(function(x), 11, axis=1), atol=1e-10)


def test_shifted_samples_are_shifted_periods(rng):
    x, vowel, u, shift = ShiftedWavetables().draw(200, rng)
    for row, v, scale, j in zip(x, vowel, u, shift):
        m = np.roll(periods(np.array([v]), np.array([scale]))[0], j)
        assert abs(np.std(row - m) / 0.1 - 1) < 5 / np.sqrt(128)
    assert abs(shift.mean() - 31.5) < 5 * np.sqrt(64 ** 2 / 12 / 200)
    found, _, rms = ShiftedWavetables().nearest(x[:20])
    assert (found == vowel[:20]).all() and rms.max() < 0.15


def test_the_entropy_of_the_shifted_distribution(rng):
    """By its samples; at this noise the shift is nearly always certain, so it is nearly log 64 above that without shift."""
    law = ShiftedWavetables(nodes=64, noise=0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vowels, "ROWS", 1600)
        entropy = law.entropy()
        fixed = Wavetables(0.3, 64).entropy()
    log_p = law.log_prob(law.sample(600, rng))
    assert abs(entropy + log_p.mean()) < 5 * log_p.std() / np.sqrt(600)
    assert fixed < entropy < fixed + np.log(64)


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda rng: Wavetables(noise=0.0), ValueError, "noise must be a positive"),
    (lambda rng: Wavetables(nodes=0), ValueError, "nodes must be at least 1"),
    (lambda rng: COARSE.log_prob(np.ones((2, 63))), ValueError, r"shape \(n, 64\)"),
    (lambda rng: COARSE.denoise(np.ones((2, 64)), 0.0), ValueError, "sigma must be a positive"),
    (lambda rng: SHIFTED.nearest(np.ones((2, 63))), ValueError, r"shape \(n, 64\)"),
    (lambda rng: SHIFTED.sample(2, 0), TypeError, "rng must be"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)
