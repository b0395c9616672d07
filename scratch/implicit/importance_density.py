"""The density of a generator that adds Gaussian noise to its output, by importance sampling.

Model.   x = G(z) + s eps, where z has the density p(z) of a mixture of Gaussians (latent.py):
    q(x) = integral of p(z) N(x; G(z), s^2 I) dz                                          (1)
smoothed_density.py computes (1) on a grid of z, which is possible for one or two latent coordinates.
With more of them, z is drawn where the integrand of this x is large.

Modes.   Of many z from p the J best are starts, each with its component (mu, std) of p.  From each the
Levenberg-Marquardt method goes downhill in
    f(z) = 1/2 |x - G(z)|^2 / s^2 + 1/2 |(z - mu) / std|^2                                (2)
Laplace.  With the Jacobian A = dG/dz of the mode z_j, the second derivative of f without G'' is
    H_j = A^T A / s^2 + diag(1 / std^2)                                                   (3)
Weights. The proposal r is a mixture of J Student distributions, at z_j with the scale matrix H_j^-1.
Their tails are heavier than Gaussian ones, so that the weights below vary less:
    q(x) ~= mean over draws z_i of r of  w_i,   w_i = p(z_i) N(x; G(z_i), s^2 I) / r(z_i)  (4)
(4) is unbiased where r > 0.  Its logarithm is too small on average, by half the relative variance,
so that a KL(p || q) comes out too large.  With v the relative variance of w and S draws,
    stderr of log q = sqrt(v / S),   effective draws = S / (1 + v)                        (5)
A mode that no start has found is missed, and (5) does not show it.
Source: for variational autoencoders Wu et al. 2017, "On the Quantitative Analysis of Decoder-Based Generative
Models", who anneal from p(z).  Modes with Laplace's approximation, in place of annealing, are our own choice.
Checked in tests/implicit/test_importance_density.py::test_a_linear_generator_has_a_mixture_of_gaussians
Checked in tests/implicit/test_importance_density.py::test_two_latent_coordinates_agree_with_quadrature
Symbols: N rows, D data, L latent, K components, J modes a row, S draws a row, B = N J.
"""
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from scratch import checks
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import logsumexp

# By hand, for waveforms of 64 samples with s = 0.1 and L = 4.
STARTS = 20_000                # z from p; the best J of them are starts
CANDIDATES = 400               # of them the nearest, from which J are taken that lie APART from each other
APART = 0.3
MODES = 16                     # J
STEPS = 20                     # of Levenberg-Marquardt
FREEDOM = 5.0                  # degrees of freedom of the Student distributions
EVEN = 0.2                     # the share of r that is the same for all modes; the rest goes by their Laplace masses
PAIRS = 2 ** 22                # pairs of a row and a start at once, which bounds the memory


class Weighted(NamedTuple):
    """log q(x) in nats, its standard error, and the number of effective draws by (5): (N,) each."""
    log_q: np.ndarray
    stderr: np.ndarray
    effective: np.ndarray
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__


def log_prob(model, theta, x, rng, *, draws=512):
    """Weighted for rows x (N, D) of a GAN with output_noise > 0."""
    theta, x = checks.inputs(model, checks.flat(theta, model.size).astype(float), x)
    rng, draws, s = checks.generator(rng), checks.size(draws, "draws", minimum=2), model.output_std(theta)
    if not s > 0:
        raise ValueError("a density needs output_noise > 0")
    prior = _prior(model, theta)
    z, H, f = modes(lambda z: model.generate(theta, z), *prior, s, x, rng)
    log_w = np.concatenate([_log_weights(model, theta, prior, s, *row, draws, rng)[None] for row in zip(x, z, H, f)])
    log_sum, _ = logsumexp(log_w)                                                 # (N,)
    w = np.exp(log_w - log_sum[:, None]) * draws                                  # mean 1
    v = w.var(axis=1, ddof=1)
    return Weighted(log_sum - np.log(draws), np.sqrt(v / draws), draws / (1 + v))           # (4), (5)


def _prior(model, theta):
    """mu and std of z, (K, L) each."""
    if model.prior == 1:
        return np.zeros((1, model.latent)), np.ones((1, model.latent))
    mu, log_std = (theta[model.blocks[f"prior {name}"]].reshape(-1, model.latent) for name in ("mean", "log_std"))
    return mu, np.exp(log_std)


# ---- modes ----

def modes(generator, mu, std, s, x, rng):
    """The modes z (N, J, L), their H (N, J, L, L) by (3), and f (N, J)."""
    k = rng.integers(len(mu), size=STARTS)
    z = mu[k] + std[k] * rng.standard_normal((STARTS, mu.shape[1]))
    images = generator(z)
    square = np.square(images).sum(axis=1)
    best = np.concatenate([_apart(z, square - 2 * part @ images.T)                # |x - G(z)|^2 but for |x|^2
                           for part in np.array_split(x, -(-len(x) * STARTS // PAIRS))]).ravel()        # (B,)
    z, H, f = _descend(generator, mu[k[best]], std[k[best]], s, np.repeat(x, MODES, axis=0), z[best])
    J, L = MODES, mu.shape[1]
    return z.reshape(-1, J, L), H.reshape(-1, J, L, L), f.reshape(-1, J)


def _apart(z, distance):
    """The places (N, J) of J near z, of which no two are nearer to each other than APART if there are enough."""
    rows = np.arange(len(distance))
    near = np.argpartition(distance, CANDIDATES, axis=1)[:, :CANDIDATES]
    distance, found = np.take_along_axis(distance, near, axis=1), []
    for _ in range(MODES):
        found.append(near[rows, distance.argmin(axis=1)])
        distance[np.square(z[near] - z[found[-1]][:, None]).sum(axis=2) < APART ** 2] += 1e6        # last of all
    return np.stack(found, axis=1)


def _descend(generator, mu, std, s, x, z):
    """Levenberg-Marquardt from each z (B, L): z, H and f."""
    damping, images = np.full(len(z), 1.0), generator(z)
    f = _height(images, mu, std, s, x, z)
    for _ in range(STEPS):
        A, H = _curvature(generator, std, s, z)
        slope = np.einsum("bld,bd->bl", A, images - x) / s ** 2 + (z - mu) / std ** 2       # (B, L)  d(2)
        damped = H + damping[:, None, None] * H * np.eye(z.shape[1])
        moved = z - np.linalg.solve(damped, slope[:, :, None])[:, :, 0]
        moved_images = generator(moved)
        height = _height(moved_images, mu, std, s, x, moved)
        better = height < f
        z, images = (np.where(better[:, None], *pair) for pair in ((moved, z), (moved_images, images)))
        f, damping = np.where(better, height, f), np.where(better, damping / 5, damping * 4)
    return z, _curvature(generator, std, s, z)[1], f


def _height(images, mu, std, s, x, z):
    return 0.5 * np.square((x - images) / s).sum(axis=1) + 0.5 * np.square((z - mu) / std).sum(axis=1)      # (2)


def _curvature(generator, std, s, z, h=1e-5):
    """A (B, L, D) by central differences, and H (B, L, L); their errors of 1e-9 move r, and not what (4) estimates."""
    A = np.stack([(generator(z + h * e) - generator(z - h * e)) / (2 * h) for e in np.eye(z.shape[1])], axis=1)
    return A, A @ A.mT / s ** 2 + np.eye(z.shape[1]) / std[:, :, None] ** 2                 # (3)


# ---- weights ----

def _log_weights(model, theta, prior, s, x, centers, H, f, draws, rng):
    """log w_i (S,) of one row x (D,), whose modes are centers (J, L)."""
    L, factor = len(centers[0]), np.linalg.cholesky(H)                            # H = factor factor^T
    half_log_det = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)      # (J,)
    mass = np.exp(-f - half_log_det - np.max(-f - half_log_det))                  # Laplace's
    share = (1 - EVEN) * mass / mass.sum() + EVEN / len(mass)
    j = rng.choice(len(mass), size=draws, p=share)
    e = rng.standard_normal((draws, L)) * np.sqrt(FREEDOM / rng.chisquare(FREEDOM, size=draws))[:, None]
    z = centers[j] + np.linalg.solve(factor.mT[j], e[:, :, None])[:, :, 0]        # scale matrix H^-1
    away = np.einsum("jml,sjm->sjl", factor, z[:, None] - centers)                # |away|^2 = (z - z_j)^T H (z - z_j)
    log_t = (gammaln((FREEDOM + L) / 2) - gammaln(FREEDOM / 2) - L / 2 * np.log(FREEDOM * np.pi) + half_log_det
             - (FREEDOM + L) / 2 * np.log1p(np.square(away).sum(axis=2) / FREEDOM))         # (S, J)
    log_r = logsumexp(log_t + np.log(share))[0]
    log_n = (-0.5 * np.square((x - model.generate(theta, z)) / s).sum(axis=1)
             - len(x) * (np.log(s) + HALF_LOG_TWO_PI))
    mu, std = prior
    log_p = logsumexp(-0.5 * np.square((z[:, None] - mu) / std).sum(axis=2) - np.log(std).sum(axis=1)
                      - L * HALF_LOG_TWO_PI)[0] - np.log(len(mu))
    return log_p + log_n - log_r                                                  # (4)
