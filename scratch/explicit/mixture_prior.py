"""The prior of a VAE: N(0, I), or a mixture of learned Gaussians, its KL and its samples.

Model.  K Gaussians, whose weights pi = softmax(b), means mu and standard deviations sd are learned:

    p(z) = sum_j pi_j N(z; mu_j, diag sd_j^2)                                                  (1)
    log p(z) = log sum_j exp(a_j) - log sum_j exp(b_j) - L/2 log 2 pi                          (2)
    a_j = b_j - sum_l (1/2 e_jl^2 + log sd_jl),    e_jl = (z_l - mu_jl) / sd_jl                (3)

Loss.  q(z | x) = N(z; m, diag std^2) is the encoder's Gaussian (vae.py).  At its draw z = m + std eps,
eps ~ N(0, I), the log ratio of prior and q is

    log p(z) - log q(z | x) = log p(z) + sum_l (1/2 eps_l^2 + log std_l + 1/2 log 2 pi)        (4)

The KL from q to a mixture has no closed form.  The mean over k draws estimates it without bias:

    KL(q || p) ~= - 1/k sum_i [log p(z_i) - log q(z_i | x)]                                    (5)
    KL(q || N(0, I)) = 1/2 sum_l (m_l^2 + std_l^2 - log std_l^2 - 1)       in closed form      (6)

Gradient.  r_j = pi_j N(z; mu_j, diag sd_j^2) / p(z) is the responsibility of Gaussian j for z.  At fixed eps

    d log p / d a_j = r_j,       d log p / d b_j = r_j - pi_j  (b_j stands in a_j too)        d(2)
    d a_j / d mu_jl = e_jl / sd_jl = - d a_j / d z_l,     d a_j / d log sd_jl = e_jl^2 - 1    d(3)
    d / d log std_l = 1          of (4) at fixed z                                            d(4)
    d_i = - dKL / k,   dm = sum_i dz_i,   dlog_std = sum_i (d_i + dz_i eps_i std)             d(5)
    dm = dKL m,                           dlog_std = dKL (std^2 - 1)                          d(6)

In d(5) d_i is the gradient in the i-th log ratio, and dz_i is the one in z_i, by d(3).
Source: Tomczak and Welling 2018, "VAE with a VampPrior", whose mixture of encodings is learned in the
same way; Dilokthanakul et al. 2016, "Deep unsupervised clustering with Gaussian mixture variational
autoencoders" (both from memory, equation numbers unverified).
Checked in tests/explicit/test_mixture_prior.py::test_log_density_and_kl_are_the_naive_loop.
Checked in tests/explicit/test_mixture_prior.py::test_gradient_in_every_argument.
Checked in tests/explicit/test_mixture_prior.py::test_the_sampled_kl_is_the_integral.
Symbols: N batch, L latent, K Gaussians j, k draws i.  `prior` (2 L K + K,) holds mu (L, K), log sd
(L, K) and b (K,).  An empty `prior` stands for N(0, I), which has nothing to learn.
"""
import numpy as np

from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import logsumexp


def prior_size(components, latent):
    """The number of parameters: none for N(0, I), which is the prior of one component."""
    return (2 * latent + 1) * components if components > 1 else 0


def prior_init(rng, components, latent, dtype):
    """mu ~ N(0, 1), sd = 0.5 (by hand, not swept): together about as wide as N(0, I).  Equal weights."""
    prior = np.zeros(prior_size(components, latent), dtype)
    if len(prior):
        mean, log_std, _ = prior_views(prior, latent)
        mean[...], log_std[...] = rng.standard_normal(mean.shape), np.log(0.5)
    return prior


def prior_blocks(components, latent, start):
    """Where each array stands in a theta whose prior begins at `start`: {name: slice}."""
    sizes = dict(mean=latent * components, log_std=latent * components, logits=components) if components > 1 else {}
    stops = start + np.cumsum([*sizes.values()], dtype=int)
    return {f"prior {name}": slice(int(stop) - size, int(stop)) for (name, size), stop in zip(sizes.items(), stops)}


def prior_views(prior, latent):
    """mu (L, K), log sd (L, K) and b (K,): views."""
    rows = prior.reshape(2 * latent + 1, -1)
    return rows[:latent], rows[latent:-1], rows[-1]


def log_prior(prior, z):
    """log p(z) (...,) for z (..., L), and pull(dlog_p) -> (dprior, dz)."""
    if not len(prior):
        return np.sum(-0.5 * z * z - HALF_LOG_TWO_PI, axis=-1), lambda dlog_p: (prior, -dlog_p[..., None] * z)
    mean, log_std, b = prior_views(prior, z.shape[-1])
    inverse_std = np.exp(-log_std)
    e = (z[..., None] - mean) * inverse_std                                     # (..., L, K)  (3)
    a = b - 0.5 * np.sum(e * e, axis=-2) - np.sum(log_std, axis=0)              # (..., K)  (3)
    (log_sum, pull_sum), (log_norm, pull_norm) = logsumexp(a), logsumexp(b)
    log_p = log_sum - log_norm - z.shape[-1] * HALF_LOG_TWO_PI                  # (...,)  (2)

    def pull(dlog_p):
        da, batch = pull_sum(dlog_p), tuple(range(z.ndim - 1))                  # (..., K)  d(2)
        db = da.sum(axis=batch) - pull_norm(dlog_p.sum())                       # (K,)  d(2)
        de = da[..., None, :] * e                                               # minus the gradient in e: (..., L, K)
        dlog_std = np.sum(de * e - da[..., None, :], axis=batch)                # (L, K)  d(3)
        dmean = de * inverse_std                                                # of each z  d(3)
        dprior = np.concatenate([dmean.sum(axis=batch), dlog_std, db[None]]).ravel()                # d(3)
        return dprior, -dmean.sum(axis=-1)                                      # d(3)

    return log_p, pull


def log_prior_over_q(prior, z, log_std, noise):
    """log p(z) - log q(z | x) (k, N) at draws z (k, N, L), and pull(d) -> (dprior, dz, dlog_std)."""
    if not len(prior):
        log_ratio = np.sum(0.5 * noise ** 2 + log_std - 0.5 * z ** 2, axis=2)   # log 2 pi cancels  (4)
        return log_ratio, lambda d: (prior, -d[:, :, None] * z, np.sum(d, axis=0)[:, None])         # d(4)
    log_p, pull_prior = log_prior(prior, z)
    log_ratio = log_p + np.sum(0.5 * noise ** 2 + log_std + HALF_LOG_TWO_PI, axis=2)                # (4)

    def pull(d):
        return *pull_prior(d), np.sum(d, axis=0)[:, None]                       # d(4)

    return log_ratio, pull


def kl_to_prior(prior, mean, log_std, z, noise):
    """KL(q || p) (N,), and pull(dkl) -> (dprior, dmean, dlog_std): (6) for N(0, I), else (5)."""
    std = np.exp(log_std)
    if not len(prior):
        kl = 0.5 * np.sum(mean ** 2 + std ** 2 - 2 * log_std - 1, axis=1)       # (N,)  (6)
        return kl, lambda dkl: (prior, dkl[:, None] * mean, dkl[:, None] * (std ** 2 - 1))          # d(6)
    log_ratio, pull_ratio = log_prior_over_q(prior, z, log_std, noise)          # (k, N)

    def pull(dkl):
        d = np.broadcast_to(-dkl / len(noise), log_ratio.shape)                 # d(5)
        dprior, dz, dlog_std = pull_ratio(d)
        return dprior, dz.sum(axis=0), dlog_std + np.sum(dz * noise, axis=0) * std                  # d(5)

    return -np.mean(log_ratio, axis=0), pull                                    # (5)


def draw_prior(prior, n, latent, rng):
    """n draws z of p, (n, L) in float64."""
    z = rng.standard_normal((n, latent))
    if not len(prior):
        return z
    mean, log_std, b = prior_views(prior.astype(float), latent)
    k = rng.choice(len(b), size=n, p=np.exp(b - logsumexp(b)[0]))         # the Gaussian of each draw
    return mean.T[k] + np.exp(log_std.T[k]) * z                                 # (1)


def prior_box(prior, latent, radius):
    """low and high (L,) of the box that holds every Gaussian out to `radius` standard deviations."""
    if not len(prior):
        return np.full(latent, -radius), np.full(latent, radius)
    mean, log_std, _ = prior_views(prior, latent)
    reach = radius * np.exp(log_std)
    return (mean - reach).min(axis=1), (mean + reach).max(axis=1)
