import numpy as np
import pytest
from scipy.integrate import solve_ivp

from scratch.data.distributions import grid, ring
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.quadrature import kl_quadrature
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.likelihood import log_prob, mixture_jvp, push_forward, score_gap
from scratch.implicit.diffusion.samplers import dpm_solver_2m, euler, heun, karras_sigmas
from scratch.grid import midpoints

LAW = GaussianMixture([[-1.4, 0.7], [0.6, -0.3]], [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.4]]], [0.3, 0.7])
OTHER = GaussianMixture([[-1.2, 0.5], [0.6, -0.5]], [[[0.3, 0.0], [0.0, 0.3]], [[0.2, 0.1], [0.1, 0.3]]], [0.5, 0.5])
LOW, HIGH = 0.01, 60.0


def random_jvp(rng, dim):
    """The JVP of a random network, whose Jacobian has no symmetry that could hide an error."""
    model = Diffusion(dim, hidden=(6, 5), sigma_data=0.8)
    theta = model.init(rng, np.float64)
    theta += 0.3 * rng.standard_normal(theta.shape)
    return lambda x, x_dot, sigma: model.denoise_jvp(theta, x, x_dot, sigma)


# ---- 1 definition ----

@pytest.mark.parametrize("dim", [1, 3])
def test_log_prob_is_the_flow_in_x_written_out(dim, rng):
    """dx/dt = x - D and d log p/dt = -(D - div D) with t = log sigma, one row at a time, by SciPy's integrator."""
    denoise_jvp, x = random_jvp(rng, dim), rng.normal(size=(1, dim))

    def velocity(t, state):
        row = state[None, :dim]
        columns = [denoise_jvp(row, e[None], np.exp(t)) for e in np.eye(dim)]
        divergence = sum(column[0, i] for i, (_, column) in enumerate(columns))
        return np.append(row - columns[0][0], dim - divergence)

    expected = []
    for row in x:
        end = solve_ivp(velocity, np.log([0.05, 20.0]), np.append(row, 0.0), "DOP853", rtol=1e-6, atol=1e-7).y[:, -1]
        variance = 20.0 ** 2 + 0.8 ** 2
        prior = -0.5 * np.sum(end[:dim] ** 2) / variance - dim / 2 * np.log(2 * np.pi * variance)
        expected.append(prior + end[dim])
    np.testing.assert_allclose(log_prob(denoise_jvp, x, 0.05, 20.0, scale=0.8, steps=300), expected, atol=1e-4)


def test_rows_do_not_depend_on_each_other_and_pieces_are_put_together_in_order(rng):
    denoise_jvp, x = random_jvp(rng, 2), rng.normal(size=(1003, 2))
    together = log_prob(denoise_jvp, x, 0.05, 20.0, steps=2)
    np.testing.assert_allclose(log_prob(denoise_jvp, x[998:], 0.05, 20.0, steps=2), together[998:], rtol=1e-12)


# ---- 4 exact counterpart ----

@pytest.mark.parametrize("law, worst, mean", [(ring(), 5e-3, 4e-4), (grid(3), 1e-3, 1e-4), (LAW, 2e-3, 1e-4)])
def test_exact_denoiser_gives_the_law_within_the_stated_tolerance(law, worst, mean, rng):
    x = law.noised(0.002).sample(60, rng)
    error = log_prob(mixture_jvp(law), x, 0.002, 80.0) - law.noised(0.002).log_prob(x)
    assert np.abs(error).max() < worst and abs(error.mean()) < mean


def test_error_falls_with_the_fourth_power_of_the_step(rng):
    x, denoise_jvp = LAW.sample(20, rng), mixture_jvp(LAW)
    fine = log_prob(denoise_jvp, x, LOW, HIGH, steps=90)
    errors = [np.abs(log_prob(denoise_jvp, x, LOW, HIGH, steps=n) - fine).mean() for n in (15, 30)]
    assert abs(np.log2(errors[0] / errors[1]) - 4) < 0.9    # 0.6 in eight seeds; the wrong order is 1 away or more


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_scale_is_a_choice_of_units_and_prior_only(scale, rng):
    x = LAW.sample(20, rng)
    error = log_prob(mixture_jvp(LAW), x, LOW, 400.0, scale, steps=50) - LAW.noised(LOW).log_prob(x)
    assert np.abs(error).max() < 1e-3


def test_a_gaussian_of_the_scale_does_not_move_at_all(rng):
    law = GaussianMixture([[0.0, 0.0, 0.0]], [4.0 * np.eye(3)], [1.0])
    x = law.sample(10, rng)
    error = log_prob(mixture_jvp(law), x, LOW, HIGH, scale=2.0, steps=1) - law.noised(LOW).log_prob(x)
    assert np.abs(error).max() < 1e-12


def test_density_integrates_to_one():
    nodes, cell = midpoints([(-4, 4)] * 2, 32)
    mass = cell * np.exp(log_prob(mixture_jvp(LAW), nodes, 0.05, HIGH, steps=24)).sum()
    assert abs(mass - 1) < 1e-3


# ---- 3 two methods: the density of a sampler's own output ----

@pytest.mark.parametrize("sampler", [euler, heun, dpm_solver_2m])
def test_push_forward_has_the_samplers_jacobian(sampler, rng):
    denoise_jvp, x, sigmas = random_jvp(rng, 3), rng.normal(size=(4, 3)), [5.0, 2.0, 0.7, 0.0]
    log_p = rng.normal(size=4)
    end, log_q = push_forward(sampler, denoise_jvp, x, log_p, sigmas)

    def run(x):
        return sampler(lambda x, sigma: denoise_jvp(x, np.zeros_like(x), sigma)[0], x, sigmas)
    np.testing.assert_allclose(end, run(x), rtol=1e-12)
    J = np.stack([run(x + 1e-30j * e).imag / 1e-30 for e in np.eye(3)], axis=2)
    np.testing.assert_allclose(log_q, log_p - np.log(np.abs(np.linalg.det(J))), rtol=1e-9)


def test_many_small_exact_steps_push_the_noised_law_forward_to_the_law(rng):
    start = LAW.noised(20.0)
    x = start.sample(50, rng)
    for steps, worst in ((40, 0.08), (80, 0.02)):                                 # Heun: 4 times nearer
        x0, log_q = push_forward(heun, mixture_jvp(LAW), x, start.log_prob(x), karras_sigmas(steps, 0.002, 20.0))
        assert np.abs(log_q - LAW.log_prob(x0)).max() < worst


# ---- 3 two methods: the bounds ----

def test_score_gap_is_the_kl_where_both_denoisers_are_exact(rng):
    """d KL(p_sigma || q_sigma) / d log sigma = -E |D_p - D_q|^2 / sigma^2 (de Bruijn's identity for two laws)."""
    gap = score_gap(OTHER.denoise, LAW.denoise, LAW.sample(2500, rng), rng, 0.05, HIGH, levels=100)
    exact = [kl_quadrature(LAW.noised(s).log_prob, OTHER.noised(s).log_prob, LAW.noised(s).bounds(), n=150).value
             for s in (0.05, HIGH)]
    assert gap.agrees_with(exact[0] - exact[1]) and gap.stderr < 0.04 * gap.value


@pytest.mark.parametrize("bend", [lambda t: 0.9, lambda t: 1.1, lambda t: 1 + 0.3 * np.sin(3 * t),
                                  lambda t: 1 - 0.5 * np.exp(-t * t)])
def test_girsanovs_bound_holds(bend, rng):
    """Data N(0, 1), D = bend(log sigma) D*, for which the SDE's variance V solves dV/dt = 4 (1 - a) V - 2 sigma^2."""
    law = GaussianMixture([[0.0]], [[[1.0]]], [1.0])

    def slope(t, V):
        a = bend(t) / (1 + np.exp(2 * t))
        return 4 * (1 - a) * V - 2 * np.exp(2 * t)
    V = solve_ivp(slope, np.log([30.0, 0.2]), [30.0 ** 2 + 1], rtol=1e-9, atol=1e-9).y[0, -1]
    kl = kl_gaussians([0.0], [[1 + 0.2 ** 2]], [0.0], [[V]])
    x = law.sample(4000, rng)
    gap = score_gap(lambda x, s: bend(np.log(s)) * law.denoise(x, s), law.denoise, x, rng, 0.2, 30.0,
                    levels=60)
    assert 0 < float(kl) < gap.value + 4 * gap.stderr                             # for the last, 0.340 and 0.366


# ---- bad input ----

JVP = mixture_jvp(LAW)
ROWS = np.zeros((4, 2))


@pytest.mark.parametrize("call, error, says", [
    (lambda rng: log_prob(JVP, np.zeros(3), LOW, HIGH), ValueError, r"shape \(n, dim\)"),
    (lambda rng: log_prob(JVP, ROWS * np.nan, LOW, HIGH), ValueError, "finite"),
    (lambda rng: log_prob(JVP, ROWS, HIGH, LOW), ValueError, "sigma_min must be below sigma_max"),
    (lambda rng: log_prob(JVP, ROWS, 0.0, HIGH), ValueError, "sigma_min must be a positive"),
    (lambda rng: log_prob(JVP, ROWS, LOW, HIGH, scale=-1.0), ValueError, "scale must be a positive"),
    (lambda rng: log_prob(JVP, ROWS, LOW, HIGH, steps=0), ValueError, "steps must be at least 1"),
    (lambda rng: push_forward(heun, JVP, ROWS, np.zeros(3), [2.0, 0.0]), ValueError, "log_p must have shape"),
    (lambda rng: score_gap(LAW.denoise, LAW.denoise, ROWS, 0, LOW, HIGH), TypeError, "Generator"),
    (lambda rng: score_gap(LAW.denoise, LAW.denoise, ROWS[:1], rng, LOW, HIGH), ValueError, "at least 2 rows"),
    (lambda rng: score_gap(LAW.denoise, LAW.denoise, ROWS, rng, LOW, HIGH, levels=0), ValueError, "levels must be at"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)


def test_the_levels_of_the_score_gap_are_uniform_within_their_parts(rng):
    seen = []
    score_gap(lambda x, sigma: seen.append(sigma) or x, lambda x, sigma: x, np.zeros((2, 1)), rng, 0.1, 10.0, levels=500)
    place = np.log(np.array(seen) / 0.1) / np.log(100) * 500 - np.arange(500)
    assert (0 <= place).all() and (place < 1).all() and abs(place.mean() - 0.5) < 5 / np.sqrt(12 * 500)
