import numpy as np
import pytest

from scratch.data.distributions import GaussianMixture
from scratch.divergence.quadrature import kl_quadrature
from scratch.implicit.diffusion.guidance import autoguidance, classifier_free_guidance, classifier_guidance, tilted
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient

# Four components, of which the class is made of the first two.
MEANS = np.array([[0.5, 1.0], [-1.0, 0.2], [1.0, -0.5], [0.0, -1.5]])
SHAPES = np.array([[[0.5, 0.2], [0.2, 0.3]], [[0.2, 0.0], [0.0, 0.6]], [[0.3, -0.1], [-0.1, 0.4]],
                   [[0.5, 0.0], [0.0, 0.5]]])
WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4])
EVERYTHING = GaussianMixture(MEANS, SHAPES, WEIGHTS)
CLASS = GaussianMixture(MEANS[:2], SHAPES[:2], WEIGHTS[:2] / 0.3)
BOUNDS = EVERYTHING.bounds()


def normal(mean, variance):
    """A Gaussian in one dimension."""
    return GaussianMixture([[mean]], [[[variance]]], [1.0])


def log_class_probability(x, sigma):
    """log p_sigma(c | x) by its definition: the posterior of the class's components."""
    return np.log(EVERYTHING.noised(sigma).posterior(x)[:, :2].sum(axis=1))


# ---- the scale, by both names: 1 + w, or s, which public code confuses ----

@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_neutral_scales_give_the_parts_back(sigma, rng):
    x = rng.normal(size=(5, 2))
    conditional, unconditional = CLASS.denoise(x, sigma), EVERYTHING.denoise(x, sigma)

    def guided(**scale):
        return classifier_free_guidance(CLASS.denoise, EVERYTHING.denoise, **scale)(x, sigma)
    for w, part in ((0, conditional), (-1, unconditional)):
        np.testing.assert_allclose(guided(w=w), part, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(guided(scale=w + 1), part, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(autoguidance(CLASS.denoise, EVERYTHING.denoise, scale=w + 1)(x, sigma), part,
                                   rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(guided(w=2.5), 3.5 * conditional - 2.5 * unconditional, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(guided(scale=2.5), 2.5 * conditional - 1.5 * unconditional, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("arguments, says", [({}, "exactly one"), (dict(w=1, scale=2), "exactly one")])
def test_a_scale_must_have_one_name(arguments, says):
    with pytest.raises(TypeError, match=says):
        classifier_free_guidance(CLASS.denoise, EVERYTHING.denoise, **arguments)
    with pytest.raises(TypeError):
        classifier_free_guidance(CLASS.denoise, EVERYTHING.denoise, 2.0)


# ---- the classifier ----

@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_bayes_rule_at_every_level(sigma, rng):
    """(1): the gradient of the log-probability of the class is a difference of scores."""
    x = rng.normal(size=(5, 2))
    exact = gradient(lambda x: log_class_probability(x, sigma).sum(), x)
    np.testing.assert_allclose(CLASS.noised(sigma).score(x) - EVERYTHING.noised(sigma).score(x), exact,
                               rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [-1.0, 0.0, 1.0, 2.0, 7.5])
def test_with_and_without_classifier_is_the_same(scale, rng):
    """The classifier is independent of the denoisers here: its gradient is a derivative of posteriors."""
    x = rng.normal(size=(5, 2))
    for sigma in (0.1, 1.0, 30.0):
        with_classifier = classifier_guidance(
            EVERYTHING.denoise, lambda x, sigma: gradient(lambda x: log_class_probability(x, sigma).sum(), x),
            scale=scale)
        without = classifier_free_guidance(CLASS.denoise, EVERYTHING.denoise, scale=scale)
        np.testing.assert_allclose(with_classifier(x, sigma), without(x, sigma), rtol=1e-9, atol=1e-9)


# ---- autoguidance ----

def test_autoguidance_cancels_an_error_that_the_worse_model_makes_twice(rng):
    """The argument of Karras et al. 2024: both err in the same direction, the worse one further."""
    x, error = rng.normal(size=(5, 2)), rng.normal(size=2)
    good = autoguidance(lambda x, sigma: EVERYTHING.denoise(x, sigma) + error,
                        lambda x, sigma: EVERYTHING.denoise(x, sigma) + 2 * error, scale=2)
    np.testing.assert_allclose(good(x, 0.7), EVERYTHING.denoise(x, 0.7), rtol=1e-11)


# ---- Gaussian classes: closed forms ----

@pytest.mark.parametrize("w", [0.0, 1.0, 4.0])
def test_between_gaussians_of_equal_width_guided_is_tilted_exactly(w, rng):
    mean, base, variance = 0.7, -0.4, 0.6
    shifted = normal(mean + w * (mean - base), variance)
    guided = classifier_free_guidance(normal(mean, variance).denoise, normal(base, variance).denoise, w=w)
    x = rng.normal(size=(5, 1))
    for sigma in (0.1, 1.0, 30.0):
        np.testing.assert_allclose(guided(x, sigma), shifted.denoise(x, sigma), rtol=1e-10, atol=1e-12)
    log_p = tilted(normal(base, variance).log_prob, normal(mean, variance).log_prob, [(-10, 15)], scale=1 + w)
    np.testing.assert_allclose(log_p(x), shifted.log_prob(x), rtol=1e-10)


@pytest.mark.parametrize("w", [1.0, 3.0])
def test_between_gaussians_of_different_width(w):
    """All is linear, and the three variances are (6) to (8) of the module's docstring."""
    r, whole, part = 0.3, normal(0.0, 1.0), normal(0.0, 0.3)
    denoise_whole, denoise_part = (lambda x, sigma, v=v: v / (v + sigma ** 2) * x for v in (1.0, r))
    guided = classifier_free_guidance(denoise_part, denoise_whole, w=w)
    ode = heun(guided, np.array([[80.0]]), karras_sigmas(250))[0, 0] ** 2         # where one standard deviation ends
    assert abs(ode - r ** (1 + w)) < 5e-3 * r ** (1 + w)
    sde, sigmas = 80.0 ** 2, karras_sigmas(600)
    for sigma, lower in zip(sigmas[:-1], sigmas[1:]):       # x' = D + a (x - D) + noise, D = gain x
        gain, a = guided(np.ones((1, 1)), sigma)[0, 0], (lower / sigma) ** 2
        sde = (gain + a * (1 - gain)) ** 2 * sde + (sigma ** 2 - lower ** 2) * (lower > 0)
    assert abs(sde / (r * (1 - r ** (1 + 2 * w)) / ((1 - r) * (1 + 2 * w))) - 1) < 0.02
    log_p = tilted(whole.log_prob, part.log_prob, [(-12, 12)], scale=1 + w)
    exact = normal(0.0, r / (1 + w * (1 - r)))
    x = np.linspace(-2, 2, 9)[:, None]
    np.testing.assert_allclose(log_p(x), exact.log_prob(x), rtol=1e-10)
    assert ode < sde < 0.9 * exact.covariances[0, 0, 0]


# ---- the tilted distribution ----

def test_the_tilted_law_at_its_neutral_scales_and_its_mass():
    x, _ = midpoints(BOUNDS, 7)
    for scale, law in ((0, EVERYTHING), (1, CLASS)):
        log_p = tilted(EVERYTHING.log_prob, CLASS.log_prob, BOUNDS, scale=scale)
        np.testing.assert_allclose(log_p(x), law.log_prob(x), atol=1e-9, rtol=1e-9)
    log_p = tilted(EVERYTHING.log_prob, CLASS.log_prob, BOUNDS, scale=3)
    mass = kl_quadrature(log_p, EVERYTHING.log_prob, BOUNDS, n=240).mass_p        # another grid
    assert abs(mass - 1) < 1e-9


def test_the_tilted_law_is_the_density_times_a_power_of_the_class_probability(rng):
    x = rng.normal(size=(6, 2))
    log_class = np.log(EVERYTHING.posterior(x)[:, :2].sum(axis=1))
    log_p = tilted(EVERYTHING.log_prob, CLASS.log_prob, BOUNDS, scale=3)
    ratio = log_p(x) - (EVERYTHING.log_prob(x) + 3 * log_class)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-10)                       # one constant, 1 / Z


@pytest.mark.parametrize("call, error, says", [
    (lambda: autoguidance(CLASS.denoise, EVERYTHING.denoise, scale="2"), TypeError, "scale must be a number"),
    (lambda: autoguidance(CLASS.denoise, EVERYTHING.denoise, scale=np.inf), ValueError, "scale must be a finite"),
    (lambda: classifier_free_guidance(CLASS.denoise, EVERYTHING.denoise, w=[1, 2]), TypeError, "w must be a number"),
    (lambda: classifier_guidance(CLASS.denoise, None, scale=1), TypeError, "class_gradient must be a function"),
    (lambda: autoguidance(CLASS, EVERYTHING.denoise, scale=1), TypeError, "good must be a function"),
    (lambda: autoguidance(lambda x, sigma: x, lambda x, sigma: x[:, :1], scale=2)(np.zeros((3, 2)), 1.0), ValueError,
     r"one shape, got \(3, 2\) and \(3, 1\)"),
    (lambda: classifier_free_guidance(CLASS.denoise, 3, w=1), TypeError, "unconditional must be a function"),
    (lambda: tilted(None, CLASS.log_prob, BOUNDS, scale=1), TypeError, "log_p must be a function"),
    (lambda: tilted(EVERYTHING.log_prob, CLASS.log_prob, [(1, 0)], scale=1), ValueError, "low < high"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
