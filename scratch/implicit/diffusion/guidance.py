"""Guidance: a denoiser made of two others, whose samples show a class more clearly than the data do.

A sampler sees its law only through the denoiser D(x, sigma) = E[x0 | x], that
is, through the score of the noised law, grad log p_sigma(x) = (D - x) / sigma^2.
What is added to the score is therefore added to D, times sigma^2.  Let D_none be
the denoiser of all data and D_c that of class c alone.  Bayes' rule at noise level
sigma,

    grad log p_sigma(x | c) = grad log p_sigma(x) + grad log p_sigma(c | x)                       (1)

invites one to count the last term more than once:

    classifier guidance      D = D_none + s sigma^2 grad log p_sigma(c | x)
        (Dhariwal and Nichol 2021, algorithm 1; Song et al. 2021, section 5)
    classifier-free          D = D_none + s (D_c - D_none) = (1 + w) D_c - w D_none,    w = s - 1
        (Ho and Salimans 2022, eq. 6): the same by (1), without a classifier
    autoguidance             D = D_bad + s (D_good - D_bad)
        (Karras et al. 2024, eq. 3): the guide is a worse version of the same model

Two conventions are in use for the same number, and code that takes the one for
the other runs without complaint.  Here each is called by its name:

                                             w        scale s
    the unconditional model (the guide)     -1           0
    the conditional model, unguided          0           1
    guided                                 > 0         > 1

What guided samples are not.  Adding up scores suggests the tilted law

    p(x) p(c | x)^s / Z  =  p(x | c)^s p(x)^(1-s) / Z'                                            (2)

but its noised versions are not the tilted noised laws, which the guided scores
belong to: noising and tilting commute for s = 0 and 1, and else in general not.
Where they do not, ODE and SDE disagree as well.  For
p(x | c) = N(0, r) and p(x) = N(0, 1), r < 1, everything is linear, and the variances

    of the tilted law          r / (1 + w (1 - r))
    where the ODE ends         r r^w                                              exponentially narrower
    where the SDE ends         r (1 - r^(1 + 2 w)) / ((1 - r) (1 + 2 w))          by a factor of 2 at most

differ for all w > 0.  Between Gaussians of equal width, which differ in the mean
alone, all three are the law of mean m_c + w (m_c - m_none).

Every function here takes and returns a denoise(x, sigma) -> (n, D): exact ones
of mixtures and learned ones are exchangeable, and so are all samplers.
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.grid import midpoints
from scratch.kernels.stable import logsumexp


def classifier_guidance(unconditional, class_gradient, *, scale):
    """The unconditional denoiser, pushed along class_gradient(x, sigma) = grad log p_sigma(c | x), (n, D)."""
    _functions(unconditional=unconditional, class_gradient=class_gradient)
    scale = _number(scale, "scale")

    def denoise(x, sigma):
        return unconditional(x, sigma) + scale * sigma ** 2 * class_gradient(x, sigma)
    return denoise


def classifier_free_guidance(conditional, unconditional, *, w=None, scale=None):
    """(1 + w) conditional - w unconditional, by w or by scale = 1 + w: exactly one of them, by name.

    >>> sure, unsure = lambda x, sigma: x * 0 + 1.0, lambda x, sigma: x * 0
    >>> x = np.zeros((1, 1))
    >>> float(classifier_free_guidance(sure, unsure, w=2)(x, 1.0)[0, 0])
    3.0
    >>> float(classifier_free_guidance(sure, unsure, scale=2)(x, 1.0)[0, 0])
    2.0
    """
    _functions(conditional=conditional, unconditional=unconditional)
    if (w is None) == (scale is None):
        raise TypeError(f"give exactly one of w and scale = 1 + w, by name; got w = {w}, scale = {scale}")
    return autoguidance(conditional, unconditional, scale=scale if w is None else 1 + _number(w, "w"))


def autoguidance(good, bad, *, scale):
    """bad + scale (good - bad): the bad one at scale 0, the good one at 1, farther from the bad one above."""
    _functions(good=good, bad=bad)
    scale = _number(scale, "scale")

    def denoise(x, sigma):
        guide = bad(x, sigma)
        return guide + scale * (good(x, sigma) - guide)
    return denoise


def class_gradient(law, law_of_class):
    """The exact classifier's (x, sigma) -> grad log p_sigma(c | x), from p(x) and p(x | c), both mixtures.

    By (1) it is a difference of scores; how frequent the class is does not matter.
    """
    for name, value in (("law", law), ("law_of_class", law_of_class)):
        if not hasattr(value, "noised"):
            raise TypeError(f"{name} must be a law with .noised(sigma), like GaussianMixture, got {value!r}")

    def gradient(x, sigma):
        return law_of_class.noised(sigma).score(x) - law.noised(sigma).score(x)
    return gradient


def tilted(log_p, log_p_of_class, bounds, *, scale, n=300):
    """The law (2) as a log_prob(x), normalized by the midpoint rule with n cells an axis of the box `bounds`.

    log_p, log_p_of_class: the log-densities of p(x) and p(x | c), x (n, D).
    """
    _functions(log_p=log_p, log_p_of_class=log_p_of_class)
    scale = _number(scale, "scale")

    def unnormalized(x):
        return scale * log_p_of_class(x) + (1 - scale) * log_p(x)

    nodes, cell = midpoints(bounds, n)
    log_z = logsumexp(evaluate(unnormalized, nodes, "p(x) p(c | x)^scale"))[0] + np.log(cell)
    return lambda x: unnormalized(x) - log_z


def _functions(**arguments):
    for name, value in arguments.items():
        if not callable(value):
            raise TypeError(f"{name} must be a function, got {value!r}")


def _number(value, name):
    value = checks.constant(value, name)
    if value.ndim:
        raise ValueError(f"{name} must be one number, got shape {value.shape}")
    return float(value)
