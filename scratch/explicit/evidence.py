"""log p(x) of a VAE, the gap between it and the ELBO, and the two parts of that gap.

Quadrature, for one or two latent coordinates.  The midpoint rule on a box computes

    log p(x) = log integral of p(z) p(x | z) dz                                                (1)

It is accurate if p(z | x) is wider than a cell and lies inside the box, which reaches RADIUS
standard deviations beyond every Gaussian of the prior.  So the sum of each row is repeated with
twice as many nodes per axis in a larger box, until two sums agree and no node has most of the sum.
By Poisson's summation formula the error of a grid is the Fourier transform of p(z | x) at the
frequency 1 / cell.  For a Gaussian the error of the finer grid is therefore the fourth power of that
of the coarser one.  Both grids may miss a thin second mode beside a wide one.
A row whose posterior lies beyond the box, where N(0, I) has less than e^-24 of its peak, gets a
lower bound.

For q = N(m, diag std^2) the expectation in the ELBO is a weighted sum over Gauss-Hermite nodes e_i:

    z_i = m + std e_i                                                                          (2)
    ELBO(q) = E_q [log p(x | z) + log p(z)] + sum_l (log std_l + 1/2 + 1/2 log 2 pi)           (3)

The gap between it and log p(x) is a KL, and has two parts:

    log p(x) - ELBO(q) = KL(q || p(z | x))                                                     (4)
                       = [log p(x) - ELBO(q*)] + [ELBO(q*) - ELBO(q)]                          (5)

q* is the best Gaussian with a diagonal covariance for this one x.  The first bracket is the
approximation gap, due to the family of q.  The second is the amortization gap, due to one encoder
for all x (Cremer et al. 2018, "Inference Suboptimality in Variational Autoencoders", eqs. 8 to 10).

Importance sampling, for any number of latent coordinates.  With k draws z_i of q,

    log p(x) ~= log 1/k sum_i w_i,        w_i = p(x | z_i) p(z_i) / q(z_i | x)                 (6)
    standard error = sd(w) / (mean(w) sqrt(k))          to first order (the delta method)      (7)

In expectation (6) is too small by half the square of (7) (Jensen's inequality).

Gradient of (3).  dz_i comes from the pullbacks (vector-Jacobian products) of both densities:

    dm = sum_i dz_i,                      dlog_std = sum_i dz_i e_i std                       d(2)
    dlog_std = dELBO                      from the entropy of q                               d(3)

Checked in tests/explicit/test_evidence.py::test_the_gap_is_the_kl_to_the_posterior.
Checked in tests/explicit/test_evidence.py::test_gradient_of_the_elbo_in_q.
Checked in tests/explicit/test_evidence.py::test_a_narrow_posterior_gets_a_finer_grid.
Symbols: N batch, D data, L latent, M nodes, k draws.
"""
import numpy as np
from scipy.optimize import minimize

from scratch import checks
from scratch.explicit.mixture_prior import log_prior, prior_box
from scratch.grid import midpoints
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import logsumexp

RADIUS = 6.5                       # stds; derived: on each axis a Gaussian has 8e-11 of its mass beyond
NODES = {1: 2000, 2: 240}          # per axis, by hand: in the tests twice as many change 1e-9 nats
MOST = 2 ** 22                     # nodes in all, by hand: some seconds; for L = 2 stds of 0.01
TOLERANCE = 3e-3                   # nats between two grids, by hand: 1e-10 in the finer (Gaussian)
PEAK = 0.35                        # of a sum, per axis; derived: stds above a cell, error 1e-8 (Gaussian)
# Nodes per axis, by hand: in the tests (4) holds to 1e-6 nats.  For a mixture it holds to 6e-4 in 39 of 40
# random cases, and to 0.03 in one.
HERMITE = 40
CHUNK, ROWS = 2 ** 22, 2 ** 14     # pairs (x, z), and rows of a network, at once: a bound of memory


def log_prob_quadrature(model, theta, x, nodes=None):
    """log p(x), (N,) nats, by `nodes` midpoints per axis; without `nodes` by as many as each row needs."""
    theta, x = _inputs(model, theta, x)
    if nodes is not None:
        return _midpoint_sum(model, theta, x, nodes)[0]
    nodes, radius, log_p, rows = _nodes(model) // 2, RADIUS - 0.5, np.full(len(x), np.nan), np.arange(len(x))
    while len(rows):
        if nodes ** model.latent > MOST:
            raise ValueError(f"p(z | x) of {len(rows)} rows is narrower than a cell of a grid of {nodes // 2} "
                             "per axis: use evidence.log_prob_importance")
        before, (log_p[rows], peak) = log_p[rows], _midpoint_sum(model, theta, x[rows], nodes, radius)
        agree = np.isclose(before, log_p[rows], rtol=1e-9, atol=TOLERANCE)              # NaN before the first
        rows = rows[(peak > PEAK ** model.latent) | (~agree & (nodes < 2 * _nodes(model)))]
        nodes, radius = 2 * nodes, radius + 0.5
    return log_p


def quadrature_error(model, theta, x, nodes=None):
    """|difference| of log p(x) on a grid and a finer, larger one, (N,): the error of the first."""
    (theta, x), nodes = _inputs(model, theta, x), _nodes(model, nodes)
    coarse, fine = (_midpoint_sum(model, theta, x, k * nodes, RADIUS + 0.5 * (k - 1))[0] for k in (1, 2))
    return np.abs(coarse - fine)


def _midpoint_sum(model, theta, x, nodes, radius=RADIUS):
    """log p(x) on one grid, and the fraction of the largest node away from the walls, (N,) each."""
    (_, decoder, prior), part = model.split(theta), max(1, min(ROWS, CHUNK // len(x)))
    low, high = prior_box(prior, model.latent, radius)                                          # (L,) each
    z, cell = midpoints(np.stack([low, high], axis=1), _nodes(model, nodes))                    # (M, L)
    margin = 0.25 / (2 * radius) * (high - low)
    sums, peaks = [], []                                                                        # of (N,)
    for z in np.split(z, range(part, len(z), part)):
        joint = model.log_likelihood_pairs(decoder, x, z) + log_prior(prior, z)[0]              # (N, part)
        sums.append(logsumexp(joint)[0])
        inside = np.all((low + margin < z) & (z < high - margin), axis=1)
        peaks.append(np.where(inside, joint, -np.inf).max(axis=1))
    log_sum = logsumexp(np.stack(sums, axis=1))[0]
    return log_sum + np.log(cell), np.exp(np.max(peaks, axis=0) - log_sum)                      # (1)


def log_prob_importance(model, theta, x, rng, samples=1000):
    """log p(x) (N,) from `samples` draws of q, and its standard error (N,)."""
    (theta, x), k = model.inputs(theta, x), checks.size(samples, "samples", 2)
    noise, part = checks.generator(rng).standard_normal((k, len(x), model.latent)), max(1, ROWS // len(x))
    log_w = np.concatenate([model.importance_loss(theta, x, noise[i:i + part])[1] for i in range(0, k, part)])
    value = logsumexp(log_w.T)[0] - float(np.log(k))                                            # (6)
    return value, np.exp(log_w - value).std(axis=0, ddof=1) / k ** 0.5                          # (7)


def kl_to_posterior(model, theta, x, nodes=None):
    """KL(q(z | x) || p(z | x)) in nats, (N,), by its definition, on a grid around each q."""
    theta, x = _inputs(model, theta, x)
    log_p, (_, decoder, prior) = log_prob_quadrature(model, theta, x, nodes), model.split(theta)
    e, cell = midpoints([(-8, 8)] * model.latent, _nodes(model, nodes))     # 8 std: all but 3e-15 of q
    log_e, kl = log_prior(np.empty(0), e)[0], np.empty(len(x))                                # (M,), (N,)
    for n, (mean, log_std) in enumerate(zip(*model.encode(theta, x))):
        z = mean + np.exp(log_std) * e                                                          # (M, L)
        log_posterior = model.log_likelihood_pairs(decoder, x[n:n + 1], z)[0] + log_prior(prior, z)[0] - log_p[n]
        kl[n] = cell * np.exp(log_e) @ (log_e - np.sum(log_std) - log_posterior)                # (4)
    return kl


def elbo_quadrature(model, theta, x, mean, log_std):
    """ELBO (N,) of q = N(mean, diag exp(log_std)^2), and pull(delbo) -> (dmean, dlog_std)."""
    theta, x = _inputs(model, theta, x)
    mean, log_std = checks.rows(mean, model.latent, "mean"), checks.rows(log_std, model.latent, "log_std")
    e, weight = np.polynomial.hermite_e.hermegauss(HERMITE)
    e = np.stack(np.meshgrid(*[e] * model.latent, indexing="ij"), axis=-1).reshape(-1, 1, model.latent)
    weight = np.prod(np.meshgrid(*[weight / weight.sum()] * model.latent), axis=0).ravel()      # (M,)
    std, (_, decoder, prior) = np.exp(log_std), model.split(theta)
    z = mean + std * e                                                                  # (M, N, L)  (2)
    log_x, pull_likelihood = model.log_likelihood(decoder, x, z)                                # (M, N)
    log_z, pull_prior = log_prior(prior, z)                                                     # (M, N)
    elbo = weight @ (log_x + log_z) + np.sum(log_std + 0.5 + HALF_LOG_TWO_PI, axis=1)           # (3)

    def pull(delbo):
        each = weight[:, None] * delbo                                                          # (M, N)  d(3)
        dz = pull_likelihood(each)[1] + pull_prior(each)[1]                                     # (M, N, L)
        return dz.sum(axis=0), delbo[:, None] + (dz * e).sum(axis=0) * std                      # d(2), d(3)

    return elbo, pull


def best_gaussians(model, theta, x):
    """mean and log_std (N, L) of q* in (5), by L-BFGS from the encoder's q, all rows at once."""
    start = np.stack(model.encode(*_inputs(model, theta, x)))                                   # (2, N, L)

    def loss(q):
        elbo, pull = elbo_quadrature(model, theta, x, *q.reshape(start.shape))
        return -elbo.sum(), -np.stack(pull(np.ones(len(x)))).ravel()

    best = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B",                           # (5)
                    options=dict(maxiter=2000, maxfun=4000, ftol=1e-14, gtol=1e-8))     # down to rounding
    return best.x.reshape(start.shape)


def _inputs(model, theta, x):
    """theta (P,) and rows x (N, D), checked, in float64."""
    return model.inputs(checks.flat(theta, model.size).astype(float), x)


def _nodes(model, nodes=None):
    """Nodes per axis, an int."""
    if model.latent not in NODES:
        raise ValueError(f"quadrature is for 1 or 2 latent coordinates, got {model.latent}: "
                         "use evidence.log_prob_importance")
    return NODES[model.latent] if nodes is None else checks.size(nodes, "nodes")
