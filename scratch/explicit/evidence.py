"""log p(x) of a VAE, the gap between it and the ELBO, and the two parts of that gap.

Quadrature, for one or two latent coordinates.  The midpoint rule on a box computes

    log p(x) = log integral of N(z; 0, I) p(x | z) dz                                          (1)

It is accurate only if p(z | x) is wider than a cell and lies inside the box.  quadrature_error
checks this by repeating the sum on a grid shifted by half a cell.  For q = N(m, diag std^2) the
expectation in the ELBO is a weighted sum over Gauss-Hermite nodes e_i, at z_i = m + std e_i:

    ELBO(q) = E_q log p(x | z) - 1/2 sum_l (m_l^2 + std_l^2 - log std_l^2 - 1)                 (2)

The gap below log p(x) is a KL, and has two parts:

    log p(x) - ELBO(q) = KL(q || p(z | x))                                                     (3)
                       = [log p(x) - ELBO(q*)] + [ELBO(q*) - ELBO(q)]                          (4)

q* is the best Gaussian with a diagonal covariance for this one x.  The first bracket is the
approximation gap, due to the family of q.  The second is the amortization gap, due to one encoder
for all x (Cremer et al. 2018, "Inference Suboptimality in Variational Autoencoders", eqs. 8 to 10).

Importance sampling, for any number of latent coordinates.  With k draws z_i of q,

    log p(x) ~= log 1/k sum_i w_i,        w_i = p(x | z_i) N(z_i; 0, I) / q(z_i | x)           (5)
    standard error = sd(w) / (mean(w) sqrt(k))          to first order (the delta method)      (6)

In expectation (5) is too small by half the square of (6) (Jensen's inequality).

Gradient of (2).  dz comes from the pullback (vector-Jacobian product) of log p(x | z):

    dm = sum_i dz_i - dELBO m,            dlog_std = sum_i dz_i e_i std - dELBO (std^2 - 1)   d(2)

Checked in tests/explicit/test_evidence.py::test_the_gap_is_the_kl_to_the_posterior.
Checked in tests/explicit/test_evidence.py::test_gradient_of_the_elbo_in_q.
Symbols: N batch, D data, L latent, M nodes, k draws.
"""
import numpy as np
from scipy.optimize import minimize

from scratch import checks
from scratch.grid import midpoints
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import logsumexp

RADIUS = 6.5                       # derived: on each axis the prior has 8e-11 of its mass beyond
NODES = {1: 2000, 2: 240}          # per axis, by hand: in the tests twice as many change 1e-9 nats
HERMITE = 40                       # per axis, by hand: in the tests (3) holds to 1e-6 nats
CHUNK, ROWS = 2 ** 22, 2 ** 14     # pairs (x, z), and rows of a network, at once: a bound of memory


def log_prob_quadrature(model, theta, x, nodes=None, shift=0.0):
    """log p(x), (N,) nats, by `nodes` midpoints per axis, moved by a fraction `shift` of a cell."""
    theta, x = model.inputs(checks.flat(theta, model.size).astype(float), x)
    nodes, decoder = _nodes(model, nodes), model.split(theta)[1]
    z, cell = midpoints([(-RADIUS, RADIUS)] * model.latent, nodes)                              # (M, L)
    z += shift * 2 * RADIUS / nodes
    log_weight, rows = _log_normal(z) + np.log(cell), max(1, CHUNK // len(z))                   # (M,)
    return np.concatenate([logsumexp(model.log_likelihood_pairs(decoder, part, z) + log_weight)[0]
                           for part in np.split(x, range(rows, len(x), rows))])                 # (1)


def quadrature_error(model, theta, x, nodes=None):
    """|difference| of log p(x) on two grids half a cell apart, (N,): large if cells are wide."""
    left, right = (log_prob_quadrature(model, theta, x, nodes, shift) for shift in (-0.25, 0.25))
    return np.abs(left - right)


def log_prob_importance(model, theta, x, rng, samples=1000):
    """log p(x) (N,) from `samples` draws of q, and its standard error (N,)."""
    noise = checks.generator(rng).standard_normal((checks.size(samples, "samples", 2), len(x), model.latent))
    draws = max(1, ROWS // len(x))
    log_w = np.concatenate([model.importance_loss(theta, x, part)[1]
                            for part in np.split(noise, range(draws, samples, draws))])         # (k, N)
    value = logsumexp(log_w.T)[0] - float(np.log(samples))                                      # (5)
    return value, np.exp(log_w - value).std(axis=0, ddof=1) / samples ** 0.5                    # (6)


def kl_to_posterior(model, theta, x, nodes=None):
    """KL(q(z | x) || p(z | x)) in nats, (N,), by its definition, on a grid around each q."""
    (theta, x), nodes = model.inputs(checks.flat(theta, model.size).astype(float), x), _nodes(model, nodes)
    log_p, decoder = log_prob_quadrature(model, theta, x, nodes), model.split(theta)[1]
    e, cell = midpoints([(-8, 8)] * model.latent, nodes)                # 8 std: all but 3e-15 of q
    log_e, kl = _log_normal(e), np.empty(len(x))                                                # (M,), (N,)
    for n, (mean, log_std) in enumerate(zip(*model.encode(theta, x))):
        z = mean + np.exp(log_std) * e                                                          # (M, L)
        log_posterior = model.log_likelihood_pairs(decoder, x[n:n + 1], z)[0] + _log_normal(z) - log_p[n]
        kl[n] = cell * np.exp(log_e) @ (log_e - np.sum(log_std) - log_posterior)                # (3)
    return kl


def elbo_quadrature(model, theta, x, mean, log_std):
    """ELBO (N,) of q = N(mean, diag exp(log_std)^2), and pull(delbo) -> (dmean, dlog_std)."""
    theta, x = model.inputs(checks.flat(theta, model.size).astype(float), x)
    e, weight = np.polynomial.hermite_e.hermegauss(HERMITE)
    e = np.stack(np.meshgrid(*[e] * model.latent, indexing="ij"), axis=-1).reshape(-1, 1, model.latent)
    weight = np.prod(np.meshgrid(*[weight / weight.sum()] * model.latent), axis=0).ravel()      # (M,)
    std = np.exp(log_std)
    z = mean + std * e                                                                          # (M, N, L)
    log_p, pull_likelihood = model.log_likelihood(model.split(theta)[1], x, z)                  # (M, N)
    elbo = weight @ log_p - 0.5 * np.sum(mean ** 2 + std ** 2 - 2 * log_std - 1, axis=1)        # (2)

    def pull(delbo):
        _, dz = pull_likelihood(weight[:, None] * delbo)                                        # (M, N, L)
        return (dz.sum(axis=0) - delbo[:, None] * mean,                                         # d(2)
                (dz * e).sum(axis=0) * std - delbo[:, None] * (std ** 2 - 1))                   # d(2)

    return elbo, pull


def best_gaussians(model, theta, x):
    """mean and log_std (N, L) of q* in (4), by L-BFGS from the encoder's q, all rows at once."""
    start = np.stack(model.encode(checks.flat(theta, model.size).astype(float), x))             # (2, N, L)

    def loss(q):
        elbo, pull = elbo_quadrature(model, theta, x, *q.reshape(start.shape))
        return -elbo.sum(), -np.stack(pull(np.ones(len(x)))).ravel()

    best = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B",                           # (4)
                    options=dict(maxiter=2000, maxfun=4000, ftol=1e-14, gtol=1e-8))     # down to rounding
    return best.x.reshape(start.shape)


def _log_normal(z):
    return np.sum(-0.5 * z * z - HALF_LOG_TWO_PI, axis=1)


def _nodes(model, nodes):
    if model.latent not in NODES:
        raise ValueError(f"quadrature is for 1 or 2 latent coordinates, got {model.latent}: "
                         "use evidence.log_prob_importance")
    return NODES[model.latent] if nodes is None else checks.size(nodes, "nodes")
