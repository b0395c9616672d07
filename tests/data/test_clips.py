import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.signal import lfilter
from scipy.stats import multivariate_normal

from scratch.data import clips
from scratch.data.clips import Clips
from scratch.data.vowels import formants, predictor
from scratch.learning.gradient_check import gradient_error

SMALL = Clips(length=40, periods=(9, 12, 13))
LAW = Clips()


def impulse_response(f):
    """Of filter f = 6 v + 5 u, 3,000 samples, by running it."""
    A = predictor(formants(np.array([f // 6]), np.array([f % 6 / 5])))[0]
    return lfilter([1.0], A, np.eye(1, 3000)[0])


def hypotheses(law):
    """Every (filter, P, j, probability, mean (D,), covariance (D, D)), by long sums."""
    for f in range(60):
        h = impulse_response(f)
        covariance = toeplitz([h[:3000 - lag] @ h[lag:] for lag in range(law.length)])
        yield f, 0, 0, 0.25 / 60, np.zeros(law.length), covariance / covariance[0, 0]
        for P in law.periods:
            train = np.where(np.arange(3000) % P == 0, np.sqrt(P), 0.0)
            periodic = np.convolve(train, h)[3000 - P:3000]         # the last period has run in
            g2 = 1 / (0.98 * np.mean(periodic ** 2) + 0.02 * covariance[0, 0])
            for j in range(P):
                e = np.zeros(3000 + law.length)
                e[(3000 + j) % P::P] = np.sqrt(P)            # pulses at j, j + P, ... of the clip, which starts at 3,000
                mean = np.sqrt(0.98 * g2) * np.convolve(e, h)[3000:3000 + law.length]
                yield f, P, j, 0.75 / (60 * len(law.periods) * P), mean, 0.02 * g2 * covariance


def test_log_prob_is_the_naive_sum_of_dense_gaussians(rng):
    """With the posterior of vowels, the best hypothesis and the mean power."""
    law = Clips(length=24, periods=(9, 14))
    x, _, drawn, _ = law.draw(12, rng)
    assert set(drawn.tolist()) == {0, 9, 14}
    p, vowel, best, power = np.zeros(12), np.zeros((12, 10)), [(0.0, (0, 0, 0))] * 12, 0
    for f, P, j, prior, mean, covariance in hypotheses(law):
        joint = prior * multivariate_normal(mean, covariance).pdf(x)
        p += joint
        vowel[:, f // 6] += joint
        best = [max(old, (new, (f, P, j))) for old, new in zip(best, joint)]
        power += prior * (mean ** 2 + np.diag(covariance))
    np.testing.assert_allclose(law.log_prob(x), np.log(p), rtol=1e-9)
    np.testing.assert_allclose(law.posterior(x), vowel / p[:, None], atol=1e-9)
    assert list(zip(*(part.tolist() for part in law.best(x)))) == [which for _, which in best]
    np.testing.assert_allclose(power, 1, rtol=1e-9)


def test_score_is_the_gradient_of_log_prob(rng):
    x = SMALL.sample(2, rng)
    assert gradient_error(lambda x: SMALL.log_prob(x).sum(), x, SMALL.score(x)) < 1e-10


def test_every_clip_tells_its_filter_period_and_phase(rng):
    x, f, P, j = LAW.draw(30, rng)
    found = LAW.best(x)
    for mine, its in zip((f, P, j), found):
        np.testing.assert_array_equal(its, mine)
    np.testing.assert_allclose(LAW.posterior(x)[np.arange(30), f // 6], 1, atol=1e-3)


def test_entropy_by_samples(rng):
    """Of short clips, which leave their hypothesis unclear, and of long ones, which do not: -1.07 nats a sample."""
    law = Clips(length=12, periods=(9, 10))
    log_p = law.log_prob(law.sample(20_000, rng))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "ROWS", 1000)                             # their error is 0.03 nats
        assert abs(law.entropy() + log_p.mean()) < 5 * np.hypot(log_p.std() / np.sqrt(20_000), 0.03)
    assert LAW.entropy() / 512 == pytest.approx(-1.0727, abs=1e-4)


def test_the_density_has_mass_one(rng):
    """E p(x) / q(x) = 1 for x of another such distribution q."""
    q = Clips(length=12, periods=(9, 10))
    p = Clips(length=12, periods=(9,))
    x = q.sample(4000, rng)
    w = np.exp(p.log_prob(x) - q.log_prob(x))
    assert abs(w.mean() - 1) < 5 * w.std() / np.sqrt(4000) and w.std() < 2


def test_samples_follow_the_distribution(rng):
    x, f, P, j = LAW.draw(2000, rng)
    assert abs(np.mean(P > 0) - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 2000)
    voiced = P > 0
    assert abs(P[voiced].mean() - 56) < 5 * np.sqrt((49 ** 2 - 1) / 12 / 1500)
    assert abs((j / np.maximum(P, 1))[voiced].mean() - 0.5 * np.mean(1 - 1 / np.arange(32, 81))) < 5 * np.sqrt(1 / 12 / 1500)
    assert (np.abs(np.bincount(f, minlength=60) - 2000 / 60) < 5 * np.sqrt(2000 / 60)).all()
    power = np.mean(x ** 2, axis=0)                                    # stationary: 1 at the start as at the end
    assert abs(power[:8].mean() - 1) < 0.2 and abs(power[-8:].mean() - 1) < 0.2


def test_a_sample_is_the_filter_run_on_pulses_and_noise(rng):
    """Run backward through A, a voiced clip is pulses in a little noise, and a whispered one is white."""
    x, f, P, j = LAW.draw(40, rng)
    for row, filter, period, phase in zip(x, f, P, j):
        e = lfilter(predictor(formants(np.array([filter // 6]), np.array([filter % 6 / 5])))[0], [1.0], row)[8:]
        if period:
            pulse = (np.arange(8, 512) - phase) % period == 0
            assert e[pulse].min() > 5 * np.abs(e[~pulse]).std()
            assert np.var(e[pulse]) < 0.1 * np.mean(e[pulse]) ** 2
            assert np.mean(e[~pulse] ** 2) / np.mean(e[pulse]) ** 2 == pytest.approx(0.02 / (0.98 * period), rel=0.4)
        else:
            assert abs(np.corrcoef(e[1:], e[:-1])[0, 1]) < 5 / np.sqrt(503)


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda rng: Clips(length=8), ValueError, "must be above 8"),
    (lambda rng: Clips(periods=()), ValueError, "must be above 8"),
    (lambda rng: Clips(periods=(8, 30)), ValueError, "must be above 8"),
    (lambda rng: Clips(periods=40), TypeError, "periods must be a tuple"),
    (lambda rng: SMALL.log_prob(np.ones((2, 39))), ValueError, r"shape \(n, 40\)"),
    (lambda rng: SMALL.sample(2, 0), TypeError, "rng must be"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)
