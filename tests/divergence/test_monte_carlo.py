import numpy as np
import pytest

from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.monte_carlo import k1, k2, k3, kl_importance, kl_monte_carlo


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
def test_mean_and_sd_of_k1_k2_k3_match_their_closed_forms(delta):
    # x ~ p = N(0, 1), q = N(delta, 1), KL = delta^2 / 2.  (Schulman's case: his p is this q.)
    n, kl = 200_000, delta ** 2 / 2
    x = np.random.default_rng(2).normal(size=(n, 1))
    closed = {k1: (1.0, delta / kl),                                              # mean / KL, sd / KL
              k2: (1 + delta ** 2 / 4, np.sqrt(2 + delta ** 2)),
              k3: (1.0, 2 * np.sqrt(np.exp(delta ** 2) - 1 - delta ** 2) / delta ** 2)}
    for estimator, (mean, sd) in closed.items():
        terms = estimator(normal(delta)(x) - normal(0.0)(x)) / kl
        error_of_sd = np.sqrt(np.var((terms - terms.mean()) ** 2) / n) / (2 * terms.std())
        assert abs(terms.mean() - mean) < 4 * terms.std() / np.sqrt(n)
        assert abs(terms.std() - sd) < 4 * error_of_sd


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
    with pytest.raises(OverflowError, match=r"q is up to exp\(799\) times p .* use k1"):
        kl_monte_carlo(log_p, normal(0.0), np.zeros((2, 1)), k3)
    assert kl_monte_carlo(log_p, normal(0.0), np.zeros((2, 1))).value == pytest.approx(-799.08, abs=0.01)


def test_bad_samples_are_refused():
    with pytest.raises(TypeError, match="x must be floating point"):
        kl_monte_carlo(normal(0.0), normal(1.0), np.zeros((5, 1), int))
    with pytest.raises(ValueError, match="x must be finite"):
        kl_monte_carlo(normal(0.0), normal(1.0), np.full((5, 1), np.nan))


# ---- importance weights ----

def test_weighted_value_error_and_effective_size_equal_a_loop_over_the_samples():
    x = np.random.default_rng(0).normal(size=(50, 2))
    log_p, log_q, log_g = normal(0.2, 0.9), normal(0.4, 1.3), normal(0.0)
    ratios = [np.exp(log_p(row[None]) - log_g(row[None]))[0] for row in x]
    terms = [(log_p(row[None]) - log_q(row[None]))[0] for row in x]
    total = sum(ratios)
    mean = sum(w * t for w, t in zip(ratios, terms)) / total
    kl = kl_importance(log_p, log_q, x, log_g)
    assert kl.value == pytest.approx(mean, rel=1e-12)
    variance = sum((w / total * (t - mean)) ** 2 for w, t in zip(ratios, terms))
    assert kl.stderr == pytest.approx(np.sqrt(variance), rel=1e-12)
    assert kl.effective_n == pytest.approx(total ** 2 / sum(w ** 2 for w in ratios), rel=1e-12)
    assert kl.n == 50


def test_samples_of_p_itself_have_equal_weights():
    x = np.random.default_rng(1).normal(size=(100, 1))
    weighted = kl_importance(normal(0.0), normal(1.0), x, normal(0.0))
    plain = kl_monte_carlo(normal(0.0), normal(1.0), x)
    assert weighted.effective_n == pytest.approx(100, rel=1e-12)
    assert weighted.value == pytest.approx(plain.value, rel=1e-12)
    assert weighted.stderr == pytest.approx(plain.stderr * np.sqrt(99 / 100), rel=1e-12)


@pytest.mark.parametrize("mean_g, std_g", [(0.5, 1.2), (1.0, 1.5), (-0.5, 2.0)])
def test_the_kl_is_found_from_samples_of_the_wrong_law(mean_g, std_g):
    x = mean_g + std_g * np.random.default_rng(2).normal(size=(50_000, 1))
    exact = kl_gaussians([0], [[1]], [1], [[4]])                                  # 0.443; the reverse is 1.31
    kl = kl_importance(normal(0.0), normal(1.0, 2.0), x, normal(mean_g, std_g))
    assert kl.agrees_with(exact) and kl.stderr < 0.01
    assert not kl_monte_carlo(normal(0.0), normal(1.0, 2.0), x).agrees_with(exact)        # without weights


def test_the_error_of_the_weighted_mean_is_right():
    runs = [kl_importance(normal(0.0), normal(1.0), 0.5 + 1.3 * np.random.default_rng(seed).normal(size=(200, 1)),
                          normal(0.5, 1.3)) for seed in range(300)]
    values = np.array([run.value for run in runs])
    assert abs(values.mean() - 0.5) < 4 * values.std() / np.sqrt(300)
    assert abs(np.mean([run.stderr for run in runs]) / values.std() - 1) < 4 / np.sqrt(2 * 300)


def test_the_effective_size_falls_as_the_laws_part():
    # p = N(0, 1), g = N(d, 1): n / E_g[w^2] = n exp(-d^2)
    noise = np.random.default_rng(3).normal(size=(100_000, 1))
    for d in (0.2, 0.5, 1.0):
        effective = kl_importance(normal(0.0), normal(1.0), noise + d, normal(d)).effective_n
        assert effective == pytest.approx(100_000 * np.exp(-d ** 2), rel=0.05)


def test_a_constant_is_forgiven_in_g_but_not_in_p():
    x = np.random.default_rng(4).normal(size=(500, 1))
    kl = kl_importance(normal(0.3), normal(1.0), x, normal(0.0))
    shifted = kl_importance(normal(0.3), normal(1.0), x, lambda x: normal(0.0)(x) - 3000.0)
    assert (shifted.value, shifted.effective_n) == pytest.approx((kl.value, kl.effective_n), rel=1e-9)
    wrong = kl_importance(lambda x: normal(0.3)(x) + 2.0, normal(1.0), x, normal(0.0))
    assert wrong.value == pytest.approx(kl.value + 2.0, rel=1e-9)


def test_samples_outside_p_weigh_nothing_and_those_outside_q_settle_the_matter():
    # p = U(0, 1), q = N(0, 1), g = U(-1, 1): log sqrt(2 pi) + 1/6, from the half of the samples inside.
    uniform = lambda low, high: lambda x: np.where((x[:, 0] > low) & (x[:, 0] < high), -np.log(high - low), -np.inf)
    x = np.random.default_rng(5).uniform(-1, 1, size=(4000, 1))
    kl = kl_importance(uniform(0, 1), normal(0.0), x, uniform(-1, 1))
    assert kl.agrees_with(0.5 * np.log(2 * np.pi) + 1 / 6)
    assert (kl.n, kl.effective_n) == (4000, pytest.approx((x > 0).sum()))
    infinite = kl_importance(normal(0.0), uniform(0, 1), x, uniform(-1, 1))
    assert (infinite.value, infinite.stderr) == (np.inf, 0) and 0 < infinite.effective_n <= 4000
    both_zero_there = kl_importance(uniform(0, 0.5), uniform(0, 1), x, uniform(-1, 1))
    assert both_zero_there.value == pytest.approx(np.log(2), rel=1e-12)


def test_weights_beyond_every_float_do_not_overflow():
    x = np.array([[0.0], [50.0], [100.0]])
    kl = kl_importance(normal(100.0), normal(99.0), x, normal(0.0))
    assert kl.value == pytest.approx(0.5, rel=1e-9) and kl.effective_n == pytest.approx(1, rel=1e-9)


def test_bad_input_to_the_weights_is_refused():
    x, half_line = np.array([[1.0], [-1.0]]), lambda x: np.where(x[:, 0] > 0, 0.0, -np.inf)
    with pytest.raises(ValueError, match=r"x must be samples of g, but log_g is -inf at \[-1.0\]"):
        kl_importance(normal(0.0), normal(1.0), x, half_line)
    with pytest.raises(ValueError, match="p has no mass at any of these samples of g"):
        kl_importance(half_line, normal(1.0), -np.abs(x), normal(0.0))
    with pytest.raises(ValueError, match="at least 2 samples"):
        kl_importance(normal(0.0), normal(1.0), x[:1], normal(0.0))
    with pytest.raises(TypeError, match="log_g must be a function"):
        kl_importance(normal(0.0), normal(1.0), x, 1.0)
    with pytest.raises(ValueError, match="log_g must be finite or -inf, got nan"):
        kl_importance(normal(0.0), normal(1.0), x, lambda x: np.full(len(x), np.nan))
    with pytest.raises(TypeError, match="x must be floating point"):
        kl_importance(normal(0.0), normal(1.0), np.zeros((5, 1), int), normal(0.0))
