"""Guidance: a denoiser made of two others, whose samples show a class more clearly than the data.

A sampler depends on the data only through the denoiser D(x, sigma) = E[x0 | x0 + sigma eps = x].
The score of the noised distribution is grad log p_sigma(x) = (D - x) / sigma^2.  So D changes by
sigma^2 times a term that is added to the score.  Let D_none be the denoiser of all data and D_c
that of class c alone.  By Bayes' rule at noise level sigma,
    grad log p_sigma(x | c) = grad log p_sigma(x) + grad log p_sigma(c | x)                  (1)

Guidance multiplies the last term by a scale s:
    classifier guidance   D = D_none + s sigma^2 grad log p_sigma(c | x)                     (2)
    classifier-free       D = D_none + s (D_c - D_none) = (1 + w) D_c - w D_none,  w = s - 1 (3)
    autoguidance          D = D_bad  + s (D_good - D_bad)                                    (4)

(3) is (2) without a classifier, by (1).  In (4) the guide is a worse version of the same model.
Two conventions are in use for the same number, and confusing them raises no error:

                                             w        scale s
    the unconditional model (the guide)     -1           0
    the conditional model, unguided          0           1
    guided                                 > 0         > 1

Guided samples do not follow the tilted distribution that (1) suggests,
    p(x) p(c | x)^s / Z  =  p(x | c)^s p(x)^(1-s) / Z'                                       (5)

For s = 0 or 1 they do.  Otherwise (5) with noise differs in general from (5) made of the noised
distributions, whose score the guided D gives.  The ODE and the SDE then disagree as well.  For
p(x | c) = N(0, r), p(x) = N(0, 1), r < 1, all is linear.  The variances
    of the tilted distribution  r / (1 + w (1 - r))                                          (6)
    where the ODE ends          r^(1 + w)                            exponentially smaller   (7)
    where the SDE ends          r (1 - r^(1 + 2 w)) / ((1 - r) (1 + 2 w))                    (8)

differ for all w > 0.  (8) is smaller than (6) by a factor of at most 2.  Between Gaussians of equal
variance and means m_c and m_none all three agree, and the mean is m_c + w (m_c - m_none).

Source: (2) Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", algorithm 1;
(3) Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6; (4) Karras et al. 2024,
"Guiding a Diffusion Model with a Bad Version of Itself", eq. 3.
Checked in tests/implicit/diffusion/test_guidance.py::test_with_and_without_classifier_is_the_same
Checked in tests/implicit/diffusion/test_guidance.py::test_neutral_scales_give_the_parts_back
Checked in tests/implicit/diffusion/test_guidance.py::test_between_gaussians_of_different_width
Symbols: N rows, D the denoiser.  Guides take and return a denoise(x, sigma) -> (N, dim).
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.grid import midpoints
from scratch.kernels.stable import logsumexp


def classifier_guidance(unconditional, class_gradient, *, scale):
    """(2), where class_gradient(x, sigma) is grad log p_sigma(c | x), (N, dim)."""
    checks.function(unconditional, "unconditional"), checks.function(class_gradient, "class_gradient")
    scale = checks.number(scale, "scale")

    def denoise(x, sigma):
        return unconditional(x, sigma) + scale * sigma ** 2 * class_gradient(x, sigma)              # (2)
    return denoise


def classifier_free_guidance(conditional, unconditional, *, w=None, scale=None):
    """(3), by w or by scale = 1 + w: exactly one of them, by name.

    >>> conditional, unconditional = lambda x, sigma: x * 0 + 1.0, lambda x, sigma: x * 0
    >>> x = np.zeros((1, 1))
    >>> float(classifier_free_guidance(conditional, unconditional, w=2)(x, 1.0)[0, 0])
    3.0
    >>> float(classifier_free_guidance(conditional, unconditional, scale=2)(x, 1.0)[0, 0])
    2.0
    """
    checks.function(conditional, "conditional"), checks.function(unconditional, "unconditional")
    if (w is None) == (scale is None):
        raise TypeError(f"give exactly one of w and scale = 1 + w, by name; got w = {w}, scale = {scale}")
    scale = scale if w is None else 1 + checks.number(w, "w")
    return autoguidance(conditional, unconditional, scale=scale)                                    # (3)


def autoguidance(good, bad, *, scale):
    """(4): the bad denoiser at scale 0, the good one at 1, and farther from the bad one above 1."""
    checks.function(good, "good"), checks.function(bad, "bad")
    scale = checks.number(scale, "scale")

    def denoise(x, sigma):
        guide, guided = bad(x, sigma), good(x, sigma)
        if guide.shape != guided.shape:                     # would broadcast without an error
            raise ValueError(f"both denoisers must return one shape, got {guided.shape} and {guide.shape}")
        return guide + scale * (guided - guide)                                                     # (4)
    return denoise


def tilted(log_p, log_p_of_class, bounds, *, scale, n=300):
    """The distribution (5) as a log_prob(x), normalized by the midpoint rule with n cells per axis.

    log_p, log_p_of_class: the log-densities of p(x) and p(x | c), x (N, dim).
    """
    checks.function(log_p, "log_p"), checks.function(log_p_of_class, "log_p_of_class")
    scale = checks.number(scale, "scale")

    def unnormalized(x):
        return scale * log_p_of_class(x) + (1 - scale) * log_p(x)                                   # (5)
    nodes, cell = midpoints(bounds, n)
    log_z = logsumexp(evaluate(unnormalized, nodes, "p(x) p(c | x)^scale"))[0] + np.log(cell)     # Z'
    return lambda x: unnormalized(x) - log_z
