"""The prior of a VAE: N(0, I), or a mixture of learned Gaussians, its KL and its samples.

Model.  K Gaussians, whose weights pi = softmax(b), means mu and standard deviations sd are learned:

    p(z) = sum_k pi_k N(z; mu_k, diag sd_k^2)                                                  (1)
    log p(z) = log sum_k exp(a_k) - log sum_k exp(b_k) - L/2 log 2 pi                          (2)
    a_k = b_k - sum_l (1/2 e_kl^2 + log sd_kl),    e_kl = (z_l - mu_kl) / sd_kl                (3)

Loss.  At a draw z = m + std eps of q(z | x) = N(z; m, diag std^2) the logarithm of prior over q is

    log p(z) - log q(z | x) = log p(z) + sum_l (1/2 eps_l^2 + log std_l + 1/2 log 2 pi)        (4)

The KL from q to a mixture has no closed form.  It is estimated at the k draws, without bias:

    KL(q || p) ~= - 1/k sum_i [log p(z_i) - log q(z_i | x)]                                    (5)
    KL(q || N(0, I)) = 1/2 sum_l (m_l^2 + std_l^2 - log std_l^2 - 1)       in closed form      (6)

Gradient.  r_k = exp(a_k) / sum_j exp(a_j) is the responsibility of Gaussian k for z, and eps is fixed:

    d log p / d a_k = r_k,       d log p / d b_k = r_k - pi_k                                 d(2)
    d a_k / d mu_kl = e_kl / sd_kl = - d a_k / d z_l,     d a_k / d log sd_kl = e_kl^2 - 1    d(3)
    d / d log std_l = 1, beside what comes through z                                          d(4)
    dm = sum_i dz_i,                           dlog_std = sum_i dz_i eps_i std                d(5)
    dm = dKL m,                                dlog_std = dKL (std^2 - 1)                     d(6)

Source: Tomczak and Welling 2018, "VAE with a VampPrior", whose mixture of encodings is learned in the
same way; Dilokthanakul et al. 2016, "Deep unsupervised clustering with Gaussian mixture variational
autoencoders" (both from memory, equation numbers unverified).
Checked in tests/explicit/test_mixture_prior.py::test_log_density_and_kl_are_the_naive_loop.
Checked in tests/explicit/test_mixture_prior.py::test_gradient_in_every_argument.
Symbols: N batch, L latent, K Gaussians, k draws.  `prior` (2 L K + K,) holds mu (L, K), log sd
(L, K) and b (K,); an empty `prior` stands for N(0, I), which has nothing to learn.
"""
import numpy as np

from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import logsumexp


def prior_size(components, latent):
    """The number of parameters: none for N(0, I), which is the prior of one component."""
    return (2 * latent + 1) * components if components > 1 else 0


def prior_init(rng, components, latent, dtype):
    """mu ~ N(0, 1) and sd = 0.5: together about as wide as N(0, I).  Equal weights."""
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
        de = da[..., None, :] * e                                               # minus d of e: (..., L, K)
        dlog_std = np.sum(de * e - da[..., None, :], axis=batch)                # (L, K)  d(3)
        dmean = de * inverse_std                                                # of each z  d(3)
        dprior = np.concatenate([dmean.sum(axis=batch), dlog_std, db[None]]).ravel()                # d(3)
        return dprior, -dmean.sum(axis=-1)                                      # d(3)

    return log_p, pull


def log_prior_over_q(prior, z, log_std, noise):
    """log p(z) - log q(z | x) (k, N) at draws z (k, N, L), and pull(d) -> (dprior, dz, dlog_std)."""
    if not len(prior):
        log_ratio = np.sum(0.5 * noise ** 2 + log_std - 0.5 * z ** 2, axis=2)   # (4)
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
    k = rng.choice(len(b), size=n, p=np.exp(b - logsumexp(b)[0]))
    return mean.T[k] + np.exp(log_std.T[k]) * z                                 # (1)


def prior_box(prior, latent, radius):
    """low and high (L,) of the box that holds every Gaussian out to `radius` standard deviations."""
    if not len(prior):
        return np.full(latent, -radius), np.full(latent, radius)
    mean, log_std, _ = prior_views(prior, latent)
    reach = radius * np.exp(log_std)
    return (mean - reach).min(axis=1), (mean + reach).max(axis=1)
