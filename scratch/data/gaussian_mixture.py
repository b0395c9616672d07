"""A Gaussian mixture with full covariances: a probability distribution known in closed form.

    p(x)    = sum_k w_k N(x; m_k, S_k)                                                       (1)
    r_k(x)  = w_k N(x; m_k, S_k) / p(x),   the posterior probability of component k          (2)

Noise, marginals and conditionals of a mixture are mixtures ("laws" in the code) again:

    score        grad log p(x) = sum_k r_k(x) S_k^-1 (m_k - x)                               (3)
    noised       x + sigma eps ~ sum_k w_k N(m_k, S_k + sigma^2 I),   eps ~ N(0, I)          (4)
    denoise      E[x0 | x0 + sigma eps = x] = sum_k r_k(x) [m_k + G_k (x - m_k)],            (5)
                 G_k = S_k (S_k + sigma^2 I)^-1 (the Wiener filter), r_k of the noised mixture
    conditional  given x_b = y, component k of x_a has the mean m_a + S_ab S_bb^-1 (y - m_b)  (6)
                 and the covariance S_aa - S_ab S_bb^-1 S_ba; its weight is r_k(y)           (7)

With the Cholesky factor S_k = L_k L_k^T and z_k = L_k^-1 (x - m_k), whitened,

    log [w_k N(x; m_k, S_k)] = log w_k - log det L_k - D/2 log 2 pi - 1/2 |z_k|^2            (8)

Source: Bishop 2006, "Pattern Recognition and Machine Learning", sections 2.3.1, 2.3.2, 2.3.9.
Checked in tests/data/test_gaussian_mixture.py::test_log_prob_and_posterior_equal_a_naive_loop
Checked in tests/data/test_gaussian_mixture.py::test_score_is_the_gradient_of_log_prob
Checked in tests/data/test_gaussian_mixture.py::test_denoise_is_the_posterior_mean_by_quadrature
Checked in tests/data/test_gaussian_mixture.py::test_joint_is_marginal_times_conditional
"""
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log, pi, sqrt

import numpy as np

from scratch import checks
from scratch.grid import midpoints

CHUNK = 2 ** 16                # numbers worked on at once: 512 kB fit a processor's cache; not swept
MOST_NODES = 2 ** 22           # the finest grid of entropy(); chosen by hand, not swept
FARTHEST = 1e100               # derived: squares of nearer coordinates stay below 1e308


@dataclass(frozen=True, eq=False, repr=False)
class GaussianMixture:
    """sum_k weights_k N(means_k, covariances_k), immutable; float64, or complex128 for complex x.

    >>> law = GaussianMixture([[-1.0], [1.0]], [[[0.1]], [[0.2]]], weights=[0.3, 0.7])
    >>> x, sigma = np.array([[0.5]]), 2.0               # E[x0 | x] = x + sigma^2 score (Tweedie)
    >>> bool(abs(law.denoise(x, sigma) - x - sigma ** 2 * law.noised(sigma).score(x)) < 1e-12)
    True
    """
    means: np.ndarray                                                             # (K, D)
    covariances: np.ndarray                                                       # (K, D, D)
    weights: np.ndarray                                                           # (K,)

    def __post_init__(self):
        means, weights = checks.constant(self.means, "means"), checks.constant(self.weights, "weights")
        if means.ndim != 2 or means.size == 0:
            raise ValueError(f"means must have shape (K, D), got {means.shape}")
        K, D = means.shape
        if weights.shape != (K,) or not (weights > 0).all() or abs(weights.sum() - 1) > 1e-6:
            raise ValueError(f"weights must be {K} positive numbers that sum to 1, "
                             f"got {checks.brief(weights)} with sum {weights.sum():g}")
        weights = weights / weights.sum()                                         # without their rounding
        covariances, factors = checks.covariances(self.covariances, "covariances", (K, D, D))
        whiten = np.linalg.inv(factors)                                           # L_k^-1
        center = weights @ means               # subtracted from x first, which saves digits far from 0
        cumulative = np.cumsum(weights)
        log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)      # of L_k, (K,)
        fields = dict(
            means=means, covariances=covariances, weights=weights, _factors=factors, _center=center,
            _whiten=whiten.transpose(2, 1, 0).reshape(D, D * K),           # column i K + k: row i of L_k^-1
            _offset=np.einsum("kij,kj->ik", whiten, means - center).reshape(D * K),
            _log_scale=np.log(weights) - log_det - D / 2 * log(2 * pi),           # (K,)
            _cumulative=cumulative / cumulative[-1])                              # ends in exactly 1
        for name, value in fields.items():
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __repr__(self):
        return f"GaussianMixture(K={len(self.weights)}, D={self.dim})"

    dim = property(lambda self: self.means.shape[1])                              # D

    def mean(self):
        """E x, (D,)."""
        return self.weights @ self.means

    def covariance(self):
        """Cov x = E[S_k] + Cov[m_k], (D, D)."""
        away = self.means - self.mean()
        return np.einsum("k,kij->ij", self.weights, self.covariances) + (self.weights * away.T) @ away

    def sample(self, n, rng):
        """n independent draws (n, D): a component k each, then x = m_k + L_k eps."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        k = np.searchsorted(self._cumulative, rng.random(n), side="right")        # (n,)
        eps = rng.standard_normal((n, self.dim))
        # L_k eps column by column, because L[k] would be (n, D, D)
        return self.means[k] + sum(self._factors[k, :, j] * eps[:, j, None] for j in range(self.dim))    # (1)

    def log_prob(self, x):
        """log p(x) in nats, (N,)."""
        return self._by_chunks(lambda x: self._posterior(x)[0], x)

    def posterior(self, x):
        """r_k(x), the probability that component k made x, (N, K)."""
        return self._by_chunks(lambda x: self._posterior(x)[1], x)

    def score(self, x):
        """grad log p(x), (N, D)."""
        def of_chunk(x):
            _, r, z = self._posterior(x)
            return -(r[:, None, :] * z).reshape(len(x), -1) @ self._whiten.T      # S^-1 (m - x) = -L^-T z  (3)
        return self._by_chunks(of_chunk, x)

    def _posterior(self, x):
        """log p(x) (N,), the r_k(x) (N, K), and the whitened z_k (N, D, K) that they come from."""
        z = ((x - self._center) @ self._whiten - self._offset).reshape(len(x), self.dim, -1)
        joint = self._log_scale - 0.5 * (z * z).sum(axis=1)                       # (N, K)  (8)
        peak = joint.real.max(axis=1, keepdims=True)
        r = np.exp(joint - peak)
        total = r.sum(axis=1, keepdims=True)
        return (peak + np.log(total))[:, 0], r / total, z                         # (1), (2)

    def _by_chunks(self, function, x):
        """function(x), some rows at a time: 160,000 rows of 200 components would take 500 MB."""
        x = double_rows(x, self.dim)
        rows = max(1, CHUNK // self._offset.size)
        return np.concatenate([function(x[i:i + rows]) for i in range(0, len(x), rows)])

    def noised(self, sigma):
        """The distribution of x + sigma eps, eps ~ N(0, I)."""
        noisy = self.covariances + checks.positive(sigma, "sigma") ** 2 * np.eye(self.dim)
        return GaussianMixture(self.means, noisy, self.weights)                   # (4)

    def denoise(self, x, sigma):
        """E[x0 | x0 + sigma eps = x], (N, D): no other denoiser has a smaller mean square error."""
        noised = self.noised(sigma)
        gains = np.linalg.solve(noised.covariances, self.covariances)             # G_k: the factors commute
        rest = self.means - np.einsum("kij,kj->ki", gains, self.means)            # (1 - G_k) m_k

        def posterior_mean(x):
            r = noised._posterior(x)[1]
            gain = (r @ gains.reshape(len(gains), -1)).reshape(-1, self.dim, self.dim)
            return r @ rest + np.einsum("nij,nj->ni", gain, x)                    # (5)
        return noised._by_chunks(posterior_mean, x)

    def marginal(self, axes):
        """The distribution of the coordinates `axes`, in that order."""
        axes = self._axes(axes, most=self.dim)
        return GaussianMixture(self.means[:, axes], self.covariances[:, axes][:, :, axes], self.weights)

    def conditional(self, axes, values):
        """The distribution of the remaining coordinates, in their order, given x[axes] = values."""
        given = self._axes(axes, most=self.dim - 1)
        values = checks.constant(values, "values", (len(given),))
        weights = self.marginal(given).posterior(values[None])[0]                 # (K,)  (7)
        keep = weights > 0                                  # without the weights that underflow to 0
        free = [i for i in range(self.dim) if i not in given]
        means, S = self.means[keep], self.covariances[keep]
        across = S[:, free][:, :, given]                                          # cov(free, given)
        gain = np.linalg.solve(S[:, given][:, :, given], across.transpose(0, 2, 1)).transpose(0, 2, 1)
        shifted = means[:, free] + np.einsum("kij,kj->ki", gain, values - means[:, given])     # (6)
        left = S[:, free][:, :, free] - gain @ across.transpose(0, 2, 1)          # (6), the Schur complement
        return GaussianMixture(shifted, left, weights[keep])

    def _axes(self, axes, most):
        if not np.iterable(axes):
            raise TypeError(f"axes must be a list of coordinate numbers, got {checks.brief(axes)}")
        axes = [checks.size(axis, "each axis", minimum=0) for axis in axes]
        if not 1 <= len(axes) <= most or len(set(axes)) < len(axes) or max(axes) >= self.dim:
            raise ValueError(f"axes must be 1 to {most} different numbers below {self.dim}, "
                             f"got {checks.brief(axes)}")
        return axes

    def bounds(self):
        """A box (D, 2): 8 standard deviations around each mean, which miss 2 Phi(-8) < 2e-15."""
        spread = 8 * np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))     # (K, D)
        return np.stack([(self.means - spread).min(axis=0), (self.means + spread).max(axis=0)], axis=1)

    def entropy(self):
        """-E log p in nats: closed form for one component, else by quadrature.

        The grid's step starts at the smallest standard deviation and is halved until two values
        agree to 1e-8 nats.  On LAWS the last value is then off by less than 1e-10 (as tested).
        """
        return self._entropy

    @cached_property
    def _entropy(self):
        if len(self.weights) == 1:
            return float(self.dim / 2 - self._log_scale[0])
        bounds = self.bounds()
        smallest = sqrt(np.linalg.eigvalsh(self.covariances).min())
        n, before = ceil((bounds[:, 1] - bounds[:, 0]).max() / smallest), np.inf
        while n ** self.dim <= MOST_NODES:
            nodes, cell = midpoints(bounds, n)
            log_p = self.log_prob(nodes)
            value = float(-cell * (np.exp(log_p) @ log_p))
            if abs(value - before) < 1e-8:
                return value
            n, before = 2 * n, value
        raise ValueError(f"entropy of {self!r} needs more than {MOST_NODES} grid nodes; "
                         "estimate it by -law.log_prob(law.sample(n, rng)).mean()")


def double_rows(x, dim):
    """x, checked, as rows in double precision within FARTHEST of the origin."""
    x = checks.rows(x, dim)
    x = x.astype(np.result_type(x, np.float64), copy=False)
    if np.abs(x).max() > FARTHEST:
        raise ValueError(f"x must lie within {FARTHEST:g} of the origin, got {np.abs(x).max():g}")
    return x
