"""Gaussian mixture by EM: the one-page ancestor of the explicit family, in which nothing is a bound.

Model.   A latent k picks a component, and the component makes x:

    p(x) = sum_k w_k N(x; m_k, S_k)

EM (Dempster, Laird and Rubin 1977; Bishop 2006, section 9.3).  For any r_nk
that sum to 1 over k, Jensen's inequality gives a lower bound,

    sum_n log p(x_n) >= sum_nk r_nk log( w_k N(x_n; m_k, S_k) / r_nk )

    E  r_nk = p(k | x_n)                      makes it an equality: the exact posterior
    M  w_k = N_k / N,  N_k = sum_n r_nk       maximize it with r fixed
       m_k = sum_n r_nk x_n / N_k
       S_k = sum_n r_nk (x_n - m_k)(x_n - m_k)^T / N_k

so the log-likelihood never falls.  A VAE is the same bound with a q(z | x) that
a network guesses: here the gap log p - bound is 0, there it must be paid for.

Collapse.  A component that sits on one point makes the likelihood infinite.
So the maximum is taken over S_k >= FLOOR S_data only (in the order of
symmetric matrices).  In coordinates where S_data = I the constrained M step
raises the eigenvalues of S_k that lie below FLOOR to it (Ingrassia and Rocci
2007, eq. 7): still a maximization, so EM stays monotone.

Gradient.  The same r_nk give it: grad log p = sum_k r_k grad log( w_k N_k ) (Fisher's
identity).  theta holds logits of w_k, m_k, and the lower triangle of A_k with
log A_k,ii on the diagonal, S_k^-1 = A_k^T A_k, so that every theta is a mixture:

    log N_k = sum_i log A_k,ii - 1/2 |z|^2 - D/2 log 2 pi,      z = A_k (x - m_k)

Symbols: N rows, D dimensions, K components.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import log_softmax, logsumexp
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

FLOOR = 1e-6                   # least variance in any direction, as a share of the data's
RESTARTS, TRIAL_STEPS = 5, 20  # EM finds a local maximum: five starts, the best one is finished
LEAST = 1e-300                 # a component that no row wants any more keeps a weight whose logarithm is finite


@dataclass(frozen=True)
class MixtureEM:
    """K = components Gaussians with full covariances.  fit takes D from its data; dim is only what init makes.

    >>> x = np.random.default_rng(0).normal(size=(500, 2))
    >>> model = MixtureEM(components=1)
    >>> theta = model.fit(x, np.random.default_rng(0))
    >>> bool(np.allclose(model.law(theta).means[0], x.mean(axis=0)))
    True
    """
    components: int
    dim: int = 2

    recipe = Recipe(Adam(1e-2), batch_size=512)             # should one prefer gradients

    def __post_init__(self):
        checks.size(self.components, "components")
        checks.size(self.dim, "dim")

    # ---- maximum likelihood ----

    def fit(self, x, rng, *, steps=2000, tolerance=1e-7):
        """theta at a (local) maximum of the likelihood of x (N, D): EM from the best of a few starts.

        It ends when a step gains less than `tolerance` nats per row.
        """
        x, steps = self._data(x), checks.size(steps, "steps")
        starts = [self.start(x, rng) for _ in range(RESTARTS)]
        for _ in range(min(TRIAL_STEPS, steps)):
            starts, values = zip(*(self.em_step(theta, x) for theta in starts))
        theta, before = starts[np.argmax(values)], -np.inf
        for _ in range(TRIAL_STEPS, steps):
            raised, value = self.em_step(theta, x)
            if value - before < tolerance:
                break
            theta, before = raised, value
        return theta

    def em_step(self, theta, x):
        """One E and one M step: the new theta, and the mean log-likelihood of the old one."""
        x = self._data(x)
        joint, _ = self._log_joint(theta, x)                                        # (N, K)
        log_p, pull = logsumexp(joint)
        r = np.maximum(pull(np.ones_like(log_p)), LEAST)                            # E: responsibilities
        return self._maximize(r, x), float(log_p.mean())

    def start(self, x, rng):
        """theta at means that are spread out like the data, k-means++ (Arthur and Vassilvitskii 2007).

        Each mean is a row drawn with probability proportional to its squared
        distance from the means so far; of a few candidates the one that leaves
        the least distance is kept.  Then one M step, every row counted to its
        nearest mean.  Distances are taken in units of the data's covariance.
        """
        x, rng = self._data(x), checks.generator(rng)
        white = np.linalg.solve(np.linalg.cholesky(np.cov(x.T, bias=True).reshape(x.shape[1], -1)), x.T).T
        chosen = white[rng.integers(len(x), size=1)]                                # (1, D)
        distance = np.sum((white - chosen) ** 2, axis=1)
        for _ in range(self.components - 1):
            share = distance / distance.sum() if distance.any() else None
            candidates = white[rng.choice(len(x), size=2 + int(np.log(self.components)), p=share)]
            after = [np.minimum(distance, np.sum((white - c) ** 2, axis=1)) for c in candidates]
            best = np.argmin(np.sum(after, axis=1))
            chosen, distance = np.vstack([chosen, candidates[best]]), after[best]
        nearest = np.argmin(((white[:, None] - chosen) ** 2).sum(axis=2), axis=1)   # (N,)
        r = np.where(nearest[:, None] == np.arange(self.components), 1.0, 1e-3)     # softly: no empty component
        return self._maximize(r / r.sum(axis=1, keepdims=True), x)

    def _maximize(self, r, x):
        """M: the theta that maximizes the bound for these responsibilities (N, K), under the floor."""
        counts = r.sum(axis=0)                                                      # (K,)  N_k
        means = (r.T @ x) / counts[:, None]
        away = x - means[:, None]                                                   # (K, N, D)
        covariances = (r.T[:, :, None] * away).swapaxes(1, 2) @ away / counts[:, None, None]
        root = np.linalg.cholesky(np.cov(x.T, bias=True).reshape(x.shape[1], -1))
        white = np.linalg.solve(root, np.linalg.solve(root, covariances).swapaxes(1, 2))
        values, vectors = np.linalg.eigh(white)
        raised = np.sqrt(np.maximum(values, FLOOR))[:, None, :] * vectors           # a root of each white S_k
        covariances = root @ (raised @ raised.swapaxes(1, 2)) @ root.T
        return self._theta(np.log(counts / counts.sum()), means, covariances)

    # ---- the model ----

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): scattered means, covariances near 1.  EM does not need it: see start."""
        rng, (K, D) = checks.generator(rng), (self.components, self.dim)
        triangle = rng.normal(0, 0.2, (K, D * (D + 1) // 2))
        return np.concatenate([rng.normal(0, 0.2, K), rng.normal(0, 1.5, K * D), triangle.ravel()]).astype(dtype)

    def draw_noise(self, rng, n):
        """The likelihood is exact: no noise."""
        return None

    def loss(self, theta, x, noise=None):
        """-mean log p(x) in nats per row, and its gradient (P,)."""
        joint, pull_joint = self._log_joint(theta, x)
        log_p, pull_sum = logsumexp(joint)
        dtheta, _ = pull_joint(pull_sum(np.full_like(log_p, -1 / len(x))))
        return -np.sum(log_p) / len(x), dtheta

    def log_prob(self, theta, x):
        """log p(x) in nats, exact, (N,)."""
        return logsumexp(self._log_joint(theta, x)[0])[0]

    def posterior(self, theta, x):
        """p(k | x), exact, (N, K)."""
        return np.exp(log_softmax(self._log_joint(theta, x)[0])[0])

    def sample(self, theta, n, rng):
        """n rows: a component each, then its Gaussian."""
        return self.law(theta).sample(n, rng)

    def law(self, theta):
        """The mixture as a law: score, marginals, conditionals, entropy in closed form."""
        logits, means, A = self._views(theta)
        factors = np.linalg.inv(A.astype(float))
        weights = np.exp(log_softmax(logits.astype(float))[0])
        return GaussianMixture(means, factors @ factors.swapaxes(1, 2), weights)

    def theta_of(self, law):
        """The theta (P,) of a GaussianMixture with K components: law(theta_of(p)) is p."""
        if len(law.weights) != self.components:
            raise ValueError(f"law must have {self.components} components, got {len(law.weights)}")
        return self._theta(np.log(law.weights), law.means, law.covariances)

    def _theta(self, logits, means, covariances):
        A = np.linalg.inv(np.linalg.cholesky(covariances))                          # (K, D, D) lower
        i = np.arange(means.shape[1])
        A[:, i, i] = np.log(A[:, i, i])
        return np.concatenate([logits, means.ravel(), A[:, *np.tril_indices(len(i))].ravel()])

    def _views(self, theta):
        """logits (K,), means (K, D), A (K, D, D); D follows from the length, P = K (D + 1)(D + 2) / 2."""
        theta, K = np.asarray(theta), self.components
        D = max(1, round((2 * theta.size / K + 0.25) ** 0.5 - 1.5))
        theta = checks.flat(theta, K * (D + 1) * (D + 2) // 2)
        logits, means, triangle = np.split(theta, [K, K + K * D])
        A, i = np.zeros((K, D, D), theta.dtype), np.arange(D)
        A[:, *np.tril_indices(D)] = triangle.reshape(K, -1)
        A[:, i, i] = np.exp(A[:, i, i])
        return logits, means.reshape(K, D), A

    def _log_joint(self, theta, x):
        """log( w_k N(x; m_k, S_k) ), (N, K), and pull(djoint) -> (dtheta, dx)."""
        logits, means, A = self._views(theta)
        K, D = means.shape
        x, i = checks.rows(x, D), np.arange(D)
        log_w, pull_w = log_softmax(logits)
        away = x - means[:, None]                                                   # (K, N, D)
        z = away @ A.swapaxes(1, 2)
        log_det = np.sum(np.log(A[:, i, i]), axis=1)                                # (K,)
        joint = (log_w + log_det - D * HALF_LOG_TWO_PI) - 0.5 * np.sum(z * z, axis=2).T

        def pull(djoint):
            dlogits = pull_w(djoint.sum(axis=0))
            dz = -djoint.T[:, :, None] * z
            dA = dz.swapaxes(1, 2) @ away                                           # (K, D, D)
            dA[:, i, i] = dA[:, i, i] * A[:, i, i] + djoint.sum(axis=0)[:, None]    # in log A_ii
            daway = dz @ A
            dmeans, dx = -daway.sum(axis=1), daway.sum(axis=0)
            return np.concatenate([dlogits, dmeans.ravel(), dA[:, *np.tril_indices(D)].ravel()]), dx

        return joint, pull

    def _data(self, x):
        """x (N, D) in float64, more rows than dimensions, not all in one plane."""
        x = checks.rows(x).astype(float)
        std = x.std(axis=0)
        correlation = np.cov((x / np.where(std > 0, std, 1)).T, bias=True).reshape(len(std), -1)
        if np.linalg.eigvalsh(correlation)[0] < 1e-15 / FLOOR:               # the floor must stay above rounding
            raise ValueError(f"x must spread in every direction to have a density, got {len(x)} rows of "
                             f"{x.shape[1]} columns in a plane (constant or dependent columns?)")
        return x
