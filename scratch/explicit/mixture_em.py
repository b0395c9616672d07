"""Gaussian mixture by EM: the posterior of its latent variable is exact, and so the bound is tight.

Model.   A latent k chooses a component, and x is drawn from it.  With phi_k(x) = N(x; m_k, S_k),

    p(x) = sum_k w_k phi_k(x)                                                           (1)

EM (Dempster, Laird and Rubin 1977, "Maximum Likelihood from Incomplete Data via the EM Algorithm";
Bishop 2006, "Pattern Recognition and Machine Learning", section 9.4).  For any r_nk >= 0 that sum
to 1 over k, Jensen's inequality gives a lower bound:

    sum_n log p(x_n) >= sum_nk r_nk log( w_k phi_k(x_n) / r_nk )                        (2)

    E  r_nk = p(k | x_n) = w_k phi_k(x_n) / p(x_n)      makes (2) an equality           (3)
    M  w_k = N_k / N,  N_k = sum_n r_nk                 maximize (2) with r fixed       (4)
       m_k = sum_n r_nk x_n / N_k                       (Bishop, section 9.2.2)         (5)
       S_k = sum_n r_nk (x_n - m_k)(x_n - m_k)^T / N_k                                  (6)

So the log-likelihood never falls.  A VAE has the same bound, with q(z | x) from a network in place
of the exact posterior r.

Collapse.  A component on a single point makes the likelihood infinite.  So S_k - FLOOR S_data must
be positive semidefinite.  Under this constraint the M step raises the eigenvalues l of
R^-1 S_k R^-T = V diag(l) V^T, where S_data = R R^T.  EM stays monotone (Ingrassia and Rocci 2007,
"Constrained Monotone EM Algorithms for Finite Mixture of Multivariate Gaussians"):

    S_k <- R V max(diag l, FLOOR) V^T R^T                                               (7)

Loss.    L = -1/N sum_n log p(x_n)     in nats                                          (8)

Gradient.  d log( w_k phi_k(x_n) ) = -1/N r_nk, with the same r (Fisher's identity)    d(1), d(8)

theta holds the logits of w_k, m_k, and a lower triangle A_k with S_k^-1 = A_k^T A_k.  On the
diagonal it holds log A_k,ii, so that every theta is a mixture:

    log phi_k = sum_i log A_k,ii - 1/2 |z|^2 - D/2 log 2 pi,   z = A_k (x - m_k)        (9)
    dz = - dlog phi_k z,   dm_k = - A_k^T dz,   dA_k = dz (x - m_k)^T                  d(9)
    dlog A_k,ii = A_k,ii dA_k,ii + dlog phi_k     on the diagonal                      d(9)
Checked in tests/explicit/test_mixture_em.py::test_em_step_is_the_naive_loop,
tests/explicit/test_mixture_em.py::test_a_component_may_not_become_thinner_than_the_floor and
tests/explicit/test_mixture_em.py::test_gradient_in_every_parameter_and_input.
Symbols: N batch, D data, K mixture components, P parameters.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import log_softmax, logsumexp
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

FLOOR = 1e-6                   # least variance relative to the data's, in any direction; by hand
RESTARTS, TRIAL_STEPS = 6, 20  # the best of six local maxima; by hand, 30 of 30 seeds on Iris
LEAST = 1e-300                 # derived: the logarithm of an empty component's weight stays finite


@dataclass(frozen=True)
class MixtureEM:
    """K = components Gaussians, full covariances.  fit takes D from its data; dim is that of init.

    >>> x = np.random.default_rng(0).normal(size=(500, 2))
    >>> model = MixtureEM(components=1)
    >>> theta = model.fit(x, np.random.default_rng(0))
    >>> bool(np.allclose(model.law(theta).means[0], x.mean(axis=0)))
    True
    """
    components: int
    dim: int = 2
    recipe = Recipe(Adam(1e-2), batch_size=512)             # gradients in place of EM; by hand
    in_nats = True

    def __post_init__(self):
        checks.fields(self, components=checks.size, dim=checks.size)

    @property
    def blocks(self):
        """Where each array stands in theta: {name: slice}."""
        K, D = self.components, self.dim
        return {"logits": slice(0, K), "means": slice(K, K + K * D), "factors": slice(K + K * D, self.size)}

    @property
    def size(self):
        """P = K + K D + K D (D + 1) / 2"""
        return self.components * (self.dim + 1) * (self.dim + 2) // 2

    def fit(self, x, rng, *, steps=2000, tolerance=1e-7):
        """theta at a (local) maximum of the likelihood of x (N, D): EM, the best of RESTARTS starts.

        It ends when a step gains less than `tolerance` nats per row.
        """
        x, steps = self._data(x), checks.size(steps, "steps")
        tolerance = checks.positive(tolerance, "tolerance")
        thetas = [self.start(x, rng, whiten=bool(i % 2)) for i in range(RESTARTS)]
        for _ in range(min(TRIAL_STEPS, steps)):
            thetas, values = zip(*(self.em_step(theta, x) for theta in thetas))
        theta, before = thetas[np.argmax(values)], -np.inf
        for _ in range(TRIAL_STEPS, steps):
            after, value = self.em_step(theta, x)
            if value - before < tolerance:
                break
            theta, before = after, value
        return theta

    def em_step(self, theta, x):
        """One E and one M step: the new theta, and the mean log-likelihood of the old one."""
        x, theta = self._data(x), checks.array(theta, "theta").astype(float)
        log_p, pull = logsumexp(self._log_joint(theta, x)[0])                               # (1)
        r = np.maximum(pull(np.ones_like(log_p)), LEAST)                        # (N, K)  (3)
        return self._maximize(r, x), float(log_p.mean())

    def start(self, x, rng, *, whiten=True):
        """theta after one M step from rows as means (Arthur and Vassilvitskii 2007, "k-means++").

        Candidates are drawn with probability proportional to the squared distance to the nearest mean
        so far.  Of 2 + log K of them (as in scikit-learn) the one is taken that leaves the least sum of
        these.  Distances are in units of the data's covariance, or, without `whiten`, of column stds.
        """
        x, rng = self._data(x), checks.generator(rng)
        units = np.linalg.solve(np.linalg.cholesky(_covariance(x)), x.T).T if whiten else x / x.std(axis=0)
        squares = [np.sum((units - units[rng.integers(len(x), size=1)]) ** 2, axis=1)]      # (N,) each
        for _ in range(self.components - 1):
            distance = np.min(squares, axis=0)
            p = distance / distance.sum() if distance.any() else None
            candidates = units[rng.choice(len(x), size=2 + int(np.log(self.components)), p=p)]
            to_candidates = [np.sum((units - candidate) ** 2, axis=1) for candidate in candidates]
            squares.append(min(to_candidates, key=lambda square: np.minimum(distance, square).sum()))
        nearest = np.argmin(squares, axis=0)                                    # (N,)
        r = np.where(nearest[:, None] == np.arange(self.components), 1.0, 1e-3)     # none is empty
        return self._maximize(r / r.sum(axis=1, keepdims=True), x)

    def _maximize(self, r, x):
        """M: the theta that maximizes (2) for these responsibilities (N, K), under the floor."""
        counts = r.sum(axis=0)                                                  # (K,)  N_k
        means = (r.T @ x) / counts[:, None]                                                 # (5)
        away = x - means[:, None]                                               # (K, N, D)
        S = (r.T[:, :, None] * away).swapaxes(1, 2) @ away / counts[:, None, None]          # (6)
        R = np.linalg.cholesky(_covariance(x))
        values, V = np.linalg.eigh(np.linalg.solve(R, np.linalg.solve(R, S).swapaxes(1, 2)))
        raised = np.sqrt(np.maximum(values, FLOOR))[:, None, :] * V
        S = R @ (raised @ raised.swapaxes(1, 2)) @ R.T                                      # (7)
        return self.theta_of(GaussianMixture(means, S, counts / counts.sum()))              # (4)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): means scattered like LAWS, covariances near 1.  EM uses `start`."""
        rng, dtype, (K, D) = checks.generator(rng), checks.dtype(dtype), (self.components, self.dim)
        triangles = rng.normal(0, 0.2, K * D * (D + 1) // 2)                # 0.2 and 1.5 by hand
        logits, means = rng.normal(0, 0.2, K), rng.normal(0, 1.5, K * D)
        return np.concatenate([logits, means, triangles]).astype(dtype)

    def draw_noise(self, rng, n):
        return None                                         # the likelihood is exact

    def loss(self, theta, x, noise=None):
        """-mean log p(x) in nats per row, and its gradient (P,)."""
        joint, pull_joint = self._log_joint(theta, x)
        log_p, pull_sum = logsumexp(joint)                                                  # (1)
        dtheta, _ = pull_joint(pull_sum(np.full_like(log_p, -1 / len(x))))                  # d(1), d(8)
        return -np.sum(log_p) / len(x), dtheta                                              # (8)

    def log_prob(self, theta, x):
        """log p(x) in nats, exact, (N,)."""
        return logsumexp(self._log_joint(theta, x)[0])[0]                                   # (1)

    def sample(self, theta, n, rng):
        """n rows: a component each, then its Gaussian."""
        return self.complete(theta, {}, n, rng)

    def complete(self, theta, known, n, rng):
        """n rows (n, D) that agree with the dict `known`; the rest from the exact conditional."""
        if not isinstance(known, dict):
            raise TypeError(f"known must be a dict from coordinate to value, got {checks.brief(known)}")
        law, axes, values = self.law(theta), list(known), list(known.values())
        x = np.empty((checks.size(n, "n"), law.dim), np.asarray(theta).dtype)
        rest = law.conditional(axes, values) if known else law
        x[:, np.setdiff1d(np.arange(law.dim), axes)], x[:, axes] = rest.sample(n, rng), values
        return x

    def law(self, theta):
        """The mixture as a distribution: score, marginals, conditionals, entropy in closed form."""
        logits, means, A = (part.astype(float) for part in self._views(theta))
        factors = np.linalg.inv(A)
        return GaussianMixture(means, factors @ factors.swapaxes(1, 2), np.exp(log_softmax(logits)[0]))

    def theta_of(self, law):
        """The theta (P,) of a GaussianMixture with K components: law(theta_of(p)) is p."""
        if not isinstance(law, GaussianMixture) or len(law.weights) != self.components:
            raise ValueError(f"law must be a GaussianMixture with {self.components} components, got "
                             f"{checks.brief(law)}")
        A, i = np.linalg.inv(np.linalg.cholesky(law.covariances)), np.arange(law.dim)    # (K, D, D)
        A[:, i, i] = np.log(A[:, i, i])
        triangle = A[:, *np.tril_indices(law.dim)]
        return np.concatenate([np.log(law.weights), law.means.ravel(), triangle.ravel()])

    def _views(self, theta):
        """logits (K,), means (K, D), A (K, D, D); D follows from P = K (D + 1)(D + 2) / 2."""
        K = self.components
        D = max(1, round((2 * np.size(checks.array(theta, "theta")) / K + 0.25) ** 0.5 - 1.5))
        theta = checks.flat(theta, K * (D + 1) * (D + 2) // 2)
        logits, means, triangle = np.split(theta, [K, K + K * D])
        A, i = np.zeros((K, D, D), theta.dtype), np.arange(D)
        A[:, *np.tril_indices(D)] = triangle.reshape(K, -1)
        A[:, i, i] = np.exp(A[:, i, i])
        return logits, means.reshape(K, D), A

    def _log_joint(self, theta, x):
        """log( w_k phi_k(x) ), (N, K), and pull(djoint) -> (dtheta, dx)."""
        logits, means, A = self._views(theta)
        (K, D), i = means.shape, np.arange(means.shape[1])
        _, x = checks.inputs(MixtureEM(K, D), theta, x)
        log_w, pull_w = log_softmax(logits)
        away = x - means[:, None]                                               # (K, N, D)
        z = away @ A.swapaxes(1, 2)
        log_det = np.sum(np.log(A[:, i, i]), axis=1)                            # (K,)
        joint = (log_w + log_det - D * HALF_LOG_TWO_PI) - 0.5 * np.sum(z * z, axis=2).T     # (9)

        def pull(djoint):
            dlogits = pull_w(djoint.sum(axis=0))
            dz = -djoint.T[:, :, None] * z                                                  # d(9)
            dA = dz.swapaxes(1, 2) @ away                                       # (K, D, D)  d(9)
            dA[:, i, i] = dA[:, i, i] * A[:, i, i] + djoint.sum(axis=0)[:, None]            # d(9)
            daway = dz @ A
            dmeans, dx = -daway.sum(axis=1), daway.sum(axis=0)                              # d(9)
            return np.concatenate([dlogits, dmeans.ravel(), dA[:, *np.tril_indices(D)].ravel()]), dx

        return joint, pull

    def _data(self, x):
        """x (N, D) in float64, more rows than dimensions, not all in one plane."""
        x = checks.rows(x).astype(float)
        std = x.std(axis=0)
        if np.linalg.eigvalsh(_covariance(x / np.where(std > 0, std, 1)))[0] < 1e-15 / FLOOR:   # rounding
            raise ValueError(f"x must spread in every direction to have a density, got {len(x)} rows of "
                             f"{x.shape[1]} columns in a plane (constant or dependent columns?)")
        return x


def _covariance(x):
    return np.cov(x.T, bias=True).reshape(x.shape[1], -1)                       # (D, D), also for D = 1
