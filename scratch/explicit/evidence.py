"""log p(x) of a VAE, the gap below it, and what the gap is made of.

    log p(x) = log integral of N(z; 0, I) p(x | z) dz

By quadrature, for one or two latent coordinates: the midpoint rule on a box that
leaves out less than 1e-9 of the prior.  It needs cells no wider than the posterior
p(z | x) is, and posteriors inside the box: quadrature_error tells, by a second grid
between the nodes of the first.  The bound can then be audited:

    log p - ELBO(q) = KL(q || p(z | x))                                         (1)
                    = [log p - ELBO(q*)]  +  [ELBO(q*) - ELBO(q)]               (2)
                       approximation gap      amortization gap

q* is the best Gaussian with a diagonal covariance for this one x.  The first gap
is the price of the family of q, the second that of an encoder which must guess
q for all x at once (Cremer, Li and Duvenaud 2018, eqs. 8 to 10).

By importance sampling, for any number of latent coordinates:

    p(x) = E_q w,  w = p(x | z) p(z) / q(z | x);       log p ~= log mean w

whose error is sd(w) / (mean(w) sqrt(k)) to first order (the delta method), and
which is too small by half the square of that in the mean (Jensen).

E_q log p(x | z) is a Gaussian integral: Gauss-Hermite nodes e_i and weights give it
as a sum over z_i = m + std e_i.  N rows, K latent coordinates, M nodes.
"""
import numpy as np
from scipy.optimize import minimize

from scratch import checks
from scratch.grid import midpoints
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import logsumexp

RADIUS = 6.5                   # the prior has 8e-11 of its mass beyond it, on each axis
NODES = {1: 2000, 2: 240}      # on each axis, by default
HERMITE = 40                   # nodes on each axis for an expectation under q
CHUNK = 2 ** 22                # pairs (row, node) worked on at once


def log_prob_quadrature(model, theta, x, nodes=None, shift=0.0):
    """log p(x) in nats, (N,), with `nodes` midpoints on each latent axis, moved by a share `shift` of a cell."""
    theta, x = np.asarray(theta, float), model._rows(x, np.empty(0))
    z, log_weight = _prior_grid(model, nodes, shift)
    decoder, rows = model.split(theta)[1], max(1, CHUNK // len(z))
    return np.concatenate([logsumexp(model._log_likelihood_pairs(decoder, x[i:i + rows], z) + log_weight)[0]
                           for i in range(0, len(x), rows)])


def quadrature_error(model, theta, x, nodes=None):
    """|difference| of log p(x) on two grids half a cell apart, (N,): large where p(z | x) is finer than a cell."""
    apart = [log_prob_quadrature(model, theta, x, nodes, shift) for shift in (-0.25, 0.25)]
    return np.abs(apart[0] - apart[1])


def log_prob_importance(model, theta, x, rng, samples=1000):
    """log p(x) (N,) from `samples` draws of q, and its standard error (N,)."""
    noise = checks.generator(rng).standard_normal((checks.size(samples, "samples", 2), len(x), model.latent))
    log_w = np.stack([model.importance_bound(theta, x, draw[None]) for draw in noise])          # (k, N)
    w = np.exp(log_w - log_w.max(axis=0))
    error = w.std(axis=0, ddof=1) / (w.mean(axis=0) * np.sqrt(samples))
    return np.log(w.mean(axis=0)) + log_w.max(axis=0), error


def kl_to_posterior(model, theta, x, nodes=None):
    """KL(q(z | x) || p(z | x)) in nats, (N,): equation (1) from its definition, on a grid laid around each q."""
    theta, nodes = np.asarray(theta, float), _nodes(model, nodes)
    log_p, decoder = log_prob_quadrature(model, theta, x, nodes), model.split(theta)[1]
    e, cell = midpoints([(-8, 8)] * model.latent, nodes)                                        # (M, K)
    log_e = np.sum(-0.5 * e * e - HALF_LOG_TWO_PI, axis=1)
    kl = np.empty(len(x))
    for n, (mean, log_std) in enumerate(zip(*model.encode(theta, x))):
        z = mean + np.exp(log_std) * e
        log_q = log_e - np.sum(log_std)
        log_joint = (model._log_likelihood_pairs(decoder, model._rows(x[n:n + 1], theta), z)[0]
                     + np.sum(-0.5 * z * z - HALF_LOG_TWO_PI, axis=1))
        kl[n] = cell * np.exp(log_e) @ (log_q - (log_joint - log_p[n]))
    return kl


def elbo_quadrature(model, theta, x, mean, log_std):
    """ELBO (N,) of q = N(mean, exp(log_std)^2), (N, K) each, and pull(delbo) -> (dmean, dlog_std)."""
    e, weight = np.polynomial.hermite_e.hermegauss(HERMITE)
    e = np.stack(np.meshgrid(*[e] * model.latent, indexing="ij"), axis=-1).reshape(-1, 1, model.latent)
    weight = np.prod(np.stack(np.meshgrid(*[weight / weight.sum()] * model.latent)), axis=0).ravel()    # (M,)
    x, std = model._rows(x, np.empty(0)), np.exp(log_std)
    z = mean + std * e                                                                          # (M, N, K)
    repeated = np.broadcast_to(x, (len(e), *x.shape)).reshape(-1, model.dim)
    log_p, pull_decoder = model._log_likelihood(model.split(np.asarray(theta, float))[1], repeated,
                                                z.reshape(-1, model.latent))
    kl = 0.5 * np.sum(mean ** 2 + std ** 2 - 2 * log_std - 1, axis=1)

    def pull(delbo):
        dz = pull_decoder((weight[:, None] * delbo).ravel())[1].reshape(z.shape)
        return (dz.sum(axis=0) - delbo[:, None] * mean,
                (dz * e).sum(axis=0) * std - delbo[:, None] * (std ** 2 - 1))

    return weight @ log_p.reshape(len(e), len(x)) - kl, pull


def best_gaussians(model, theta, x):
    """mean and log_std (N, K) of the q* that maximize the ELBO of each row by itself, from the encoder's on."""
    shape = (2, len(x), model.latent)

    def loss(q):
        elbo, pull = elbo_quadrature(model, theta, x, *q.reshape(shape))
        return -elbo.sum(), -np.stack(pull(np.ones(len(x)))).ravel()

    start = np.stack(model.encode(np.asarray(theta, float), x))
    return minimize(loss, start.ravel(), jac=True, method="L-BFGS-B",
                    options=dict(maxiter=2000, maxfun=4000, ftol=1e-14, gtol=1e-8)).x.reshape(shape)


def _prior_grid(model, nodes, shift=0.0):
    """Midpoints z (M, K), moved by a share of a cell, and log( N(z; 0, I) cell ), (M,)."""
    nodes = _nodes(model, nodes)
    z, cell = midpoints([(-RADIUS, RADIUS)] * model.latent, nodes)
    z = z + shift * 2 * RADIUS / nodes
    return z, np.sum(-0.5 * z * z - HALF_LOG_TWO_PI, axis=1) + np.log(cell)


def _nodes(model, nodes):
    if model.latent not in NODES:
        raise ValueError(f"quadrature is for 1 or 2 latent coordinates, got {model.latent}: "
                         "use evidence.log_prob_importance")
    return NODES[model.latent] if nodes is None else checks.size(nodes, "nodes")
