"""Answers to the exercises of stop 11, flow matching and guidance."""
import numpy as np

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit.diffusion import flow_matching
from scratch.implicit.diffusion.guidance import classifier_free_guidance
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from tests.exercises.judge import form, names


def test_11_1():
    """D_c = r / (r + sigma^2) x and D_none = x / (1 + sigma^2).  So (2) of samplers.py is

        dlog x / dsigma = (1 + w) sigma / (r + sigma^2) - w sigma / (1 + sigma^2)

    and its integral from 0 is 1/2 log of ((r + sigma^2) / r)^(1 + w) / (1 + sigma^2)^w, about sigma^2 / r^(1 + w) for a
    large sigma.  The variance sigma^2 at the start becomes r^(1 + w)."""
    r, w = 0.25, 2.0
    of_class, of_all = (GaussianMixture([[0.0]], [[[variance]]], [1.0]) for variance in (r, 1.0))
    end = heun(classifier_free_guidance(of_class.denoise, of_all.denoise, w=w), np.array([[80.0]]), karras_sigmas(300))
    assert abs(end[0, 0] ** 2 / r ** (1 + w) - 1) < 0.01


def test_11_2():
    """At 0 it is the unconditional denoiser, at 1 the conditional one."""
    assert names(form("B27", 2).red) == ["test_neutral_scales_give_the_parts_back"]


def test_11_3():
    """31 % before, 46 % after: uniform t lie there where t is in [0.05 s / (1 + 0.05 s), 0.4 s / (1 + 0.4 s)]."""
    u = (np.arange(100_000) + 0.5) / 100_000
    shares = []
    for a in (1.0, flow_matching.SHIFT):
        t = u / (u + a * (1 - u))
        shares.append(np.mean((t / (1 - t) > 0.05 * 1.5) & (t / (1 - t) < 0.4 * 1.5)))
    np.testing.assert_allclose(shares, [0.31, 0.46], atol=0.005)
