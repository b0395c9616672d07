"""The noise that a generator reads, z, and the sines that both networks read.

Latent.  A mixture of K Gaussians with learned means mu_k, learned standard deviations std_k, weights 1 / K
(Gurumurthy et al. 2017, "DeLiGAN: Generative Adversarial Networks for Diverse and Limited Data"):
    z = mu_k + std_k e,   e ~ N(0, I),   k uniform on 0 ... K-1                           (1)
K = 1 stands for z = e: the first layer of a generator can shift and stretch z by itself.

Gradient.   e and k are given, dz comes from the generator.  With sums over the rows of component k:
    dmu_k = sum dz,   dlog_std_k = sum dz std_k e                                        d(1)

Even draws.  The gradient of a batch has less noise if the batch covers the latent space evenly.  Row
i of n takes k = floor(K (i + v) / n), with one v ~ U(0, 1) for all rows, and a point of a lattice:
    e_i = Phi^-1(frac(i a + u)),   one u ~ U(0, 1)^L for all rows,   a_l = phi^-l         (2)
frac is the part after the decimal point, and Phi the distribution function of N(0, 1).  Each e_i by
itself is N(0, I), because frac(i a + u) is uniform.  phi > 0 is the root of phi^(L+1) = phi + 1.  For
L = 1 it is the golden ratio, whose multiples modulo 1 are spread most evenly (Roberts 2018, "The
Unreasonable Effectiveness of Quasirandom Sequences", a page on the web).

Features.   Both networks read sines of their input, with fixed frequencies w:
    f = [x, sin(w x), cos(w x)]                                                           (3)
Checked in tests/implicit/test_latent.py::test_z_is_a_naive_loop_and_its_gradient_exact
Checked in tests/implicit/test_latent.py::test_even_draws_are_normal_and_balanced
Checked in tests/implicit/test_latent.py::test_sines_and_their_derivatives
Symbols: N batch, L latent, K components, F features; M rows.
"""
import numpy as np
from scipy.special import ndtri

SMALLEST = 2.0 ** -54          # derived: half the spacing of rng.random, so that Phi^-1 is finite at 0


def mixture(parameters, e, k):
    """z (N, L) for e (N, L), k (N,) and parameters [mu, log_std] (2 K L,); pull(dz) -> dparameters."""
    mu, log_std = parameters.reshape(2, -1, e.shape[1])                           # (K, L) each
    spread = np.exp(log_std)[k] * e                                               # (N, L)

    def pull(dz):
        member = (k == np.arange(len(mu))[:, None]).astype(dz.dtype)              # (K, N)
        return np.concatenate([member @ dz, member @ (dz * spread)]).ravel()      # d(1)
    return mu[k] + spread, pull                                                   # (1)


def draw(rng, n, latent, components):
    """e (n, L) and k (n,): even draws of a mixture, independent ones of N(0, I) if K = 1."""
    if components == 1:
        return rng.standard_normal((n, latent)), np.zeros(n, int)
    phi = 1.0
    for _ in range(60):                                                           # a fixed point, to rounding
        phi = (1 + phi) ** (1 / (latent + 1))
    u = (np.outer(np.arange(n), phi ** -np.arange(1.0, latent + 1)) + rng.random(latent)) % 1
    k = ((np.arange(n) + rng.random()) / n * components).astype(int)
    return ndtri(np.maximum(u, SMALLEST)), k                                      # (2)


def sines(x, frequencies):
    """f (M, F) for x (M, D), and df/dx (M, F / D, D): each feature depends on one coordinate of x.

    A perceptron of x learns smooth functions first.  A perceptron of sines of x also learns fine detail
    (Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions in Low
    Dimensional Domains").
    """
    w = np.asarray(frequencies, x.real.dtype)[:, None]                            # (w, 1)
    turn = w * x[:, None, :]                                                      # (M, w, D)
    sine, cosine = np.sin(turn), np.cos(turn)
    f = np.concatenate([x[:, None, :], sine, cosine], axis=1)                     # (3)
    df_dx = np.concatenate([np.ones_like(x)[:, None, :], w * cosine, -w * sine], axis=1)        # d(3)
    return f.reshape(len(x), -1), df_dx
