import numpy as np
import pytest

from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.monte_carlo import k1, k2, k3, kl_monte_carlo


def normal(mean, std=1.0):
    """log density of N(mean, std^2 I) in as many dimensions as x has."""
    return lambda x: -0.5 * np.sum(((x - mean) / std) ** 2 + np.log(2 * np.pi * std ** 2), axis=1)


@pytest.mark.parametrize("estimator, term", [
    (k1, lambda p, q: -np.log(q / p)), (k2, lambda p, q: np.log(q / p) ** 2 / 2),
    (k3, lambda p, q: (q / p - 1) - np.log(q / p))])
def test_value_and_standard_error_equal_a_loop_over_the_samples(estimator, term):
    x = np.random.default_rng(0).normal(size=(50, 2))
    log_p, log_q = normal(0.0), normal(0.4, 1.3)
    terms = [term(np.exp(log_p(row[None]))[0], np.exp(log_q(row[None]))[0]) for row in x]
    mean = sum(terms) / 50
    kl = kl_monte_carlo(log_p, log_q, x, estimator)
    assert kl.value == pytest.approx(mean, rel=1e-12)
    assert kl.stderr == pytest.approx(np.sqrt(sum((t - mean) ** 2 for t in terms) / 49 / 50), rel=1e-12)
    assert kl.n == 50


def test_it_is_the_forward_kl_of_p_against_q():
    x = 0.5 * np.random.default_rng(1).normal(size=(100_000, 2))
    kl = kl_monte_carlo(normal(0.0, 0.5), normal(1.0), x)
    assert kl.agrees_with(kl_gaussians([0, 0], 0.25 * np.eye(2), [1, 1], np.eye(2)))
    assert not kl.agrees_with(kl_gaussians([1, 1], np.eye(2), [0, 0], 0.25 * np.eye(2)))


@pytest.mark.parametrize("delta", [0.1, 0.5, 1.0])
def test_k1_k2_k3_match_their_closed_forms(delta):
    # x ~ p = N(0, 1), q = N(delta, 1), KL = delta^2 / 2.  (Schulman's case: his p is this q.)
    n, kl = 200_000, delta ** 2 / 2
    x = np.random.default_rng(2).normal(size=(n, 1))
    closed = {k1: (1.0, delta / kl),                                              # mean / KL, sd / KL
              k2: (1 + delta ** 2 / 4, np.sqrt(2 + delta ** 2)),
              k3: (1.0, 2 * np.sqrt(np.exp(delta ** 2) - 1 - delta ** 2) / delta ** 2)}
    for estimator, (mean, sd) in closed.items():
        terms = estimator(normal(delta)(x) - normal(0.0)(x)) / kl
        error_of_sd = np.sqrt(np.var((terms - terms.mean()) ** 2) / n) / (2 * terms.std())
        assert abs(terms.mean() - mean) < 5 * terms.std() / np.sqrt(n)
        assert abs(terms.std() - sd) < 5 * error_of_sd


def test_no_term_of_k2_and_k3_is_negative():
    log_r = np.random.default_rng(3).normal(size=1000)
    assert (k1(log_r) < 0).any() and (k2(log_r) >= 0).all() and (k3(log_r) >= 0).all()


def test_a_sample_where_q_has_no_mass_makes_it_infinite():
    x = np.array([[0.5], [-0.5], [0.1]])
    half_line = lambda x: np.where(x[:, 0] > 0, 0.0, -np.inf)
    for estimator in (k1, k2, k3):
        kl = kl_monte_carlo(normal(0.0), half_line, x, estimator)
        assert (kl.value, kl.stderr) == (np.inf, 0)
        assert kl.interval() == (np.inf, np.inf)


def test_a_sample_where_p_has_no_mass_is_an_error():
    with pytest.raises(ValueError, match=r"x must be samples of p, but log_p is -inf at \[-1.0\]"):
        kl_monte_carlo(lambda x: np.where(x[:, 0] > 0, 0.0, -np.inf), normal(0.0), np.array([[1.0], [-1.0]]))


def test_one_sample_has_no_standard_error():
    with pytest.raises(ValueError, match=r"at least 2 samples, got x of shape \(1, 2\)"):
        kl_monte_carlo(normal(0.0), normal(1.0), np.zeros((1, 2)))


def test_a_ratio_that_overflows_is_a_clear_error_and_k1_still_works():
    log_p = lambda x: np.full(len(x), -800.0)
    with pytest.raises(ValueError, match=r"q is up to exp\(799\) times p .* use k1"):
        kl_monte_carlo(log_p, normal(0.0), np.zeros((2, 1)), k3)
    assert kl_monte_carlo(log_p, normal(0.0), np.zeros((2, 1))).value == pytest.approx(-799.08, abs=0.01)


def test_bad_samples_are_refused():
    with pytest.raises(TypeError, match="x must be floating point"):
        kl_monte_carlo(normal(0.0), normal(1.0), np.zeros((5, 1), int))
    with pytest.raises(ValueError, match="x must be finite"):
        kl_monte_carlo(normal(0.0), normal(1.0), np.full((5, 1), np.nan))
