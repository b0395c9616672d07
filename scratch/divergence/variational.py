"""KL from samples alone by a network that estimates log p / q: three losses, one evaluation.

Needs samples x of p and y of q, two distributions in D dimensions, at least 8 of each.
Estimates KL(p || q) in nats, from below: for every function f, with equality for f = log p / q,

    KL(p || q)  >=  E_p f - log E_q exp(f)           Donsker and Varadhan                 (1)
                >=  E_p f - E_q exp(f) + 1           Nguyen, Wainwright, Jordan (NWJ)     (2)

(2) follows by log u <= u - 1.  A constant added to f leaves (1) unchanged.  f is a network, trained
on one half of the samples and evaluated on the other, since on the half that trained f, (1) and (2)
are no bounds.  Then the halves are exchanged, and the two values are averaged.

Loss and gradient in f, for n x and m y in a batch, L = log mean exp f(y):

    logistic            mean softplus(-f(x)) + mean softplus(f(y))                        (3)
                        x: -sigmoid(-f) / n       y: sigmoid(f) / m                      d(3)
    Donsker, Varadhan   -mean f(x) + L + L^2                                              (4)
                        x: -1 / n                 y: (1 + 2 L) softmax(f)                d(4)
    NWJ                 -mean f(x) + mean exp f(y) - 1                                    (5)
                        x: -1 / n                 y: exp(f) / m                          d(5)

All are least at f = log p / q.  (3) is the loss of a classifier of x against y with the odds p / q.
Its gradients are bounded, so its training is the steadiest.  L^2 in (4) fixes the constant that (1)
leaves free.

Model.  u is arcsinh of the data in units of their quartiles, an invertible map that shortens heavy
tails and leaves the KL unchanged:

    f = c tanh(a / c),  a = mlp(u)                   da = (1 - tanh^2) df              (6), d(6)
    loss + decay / 2 |theta|^2                       dtheta + decay theta              (7), d(7)

Let n and m be the sizes of the training half.  c = log(min(n, m)), because so few points cannot
confirm a larger ratio; it also keeps one held-out y from dominating the mean of exp(f).
decay = 10 / (n + m): for n = m, n times (3) is minus a log-likelihood, and (7) adds the prior
N(0, 1/5) on each parameter.  With 0, 1, 3, 10, 30, 100 in place of 10 the classifier's bias is
-1.58, -0.86, -0.41, -0.08, -0.07, -0.23 nats at D = 20 (KL = 0.5, 1,000 points of each).

    stderr^2 = var f(x) / n + var r(y) / m,  on held-out points                           (8)

with r = exp f / mean exp f for (1) and r = exp f for (2).  (8) is the error for this f.  With new
samples f changes too: for two Gaussians in the plane (KL = 0.39) the scatter of the classifier was 1.4
times (8) at n = m = 300, and 1.2 times at 1,000.  Nor does (8) contain the part of the KL that the
network misses.  Between Gaussians with KL = 0.5, at n = m = 1,000, the classifier was 0.02
nats too low at D = 5 and 0.07 at D = 20.  Donsker-Varadhan was 0.05 and 0.7 too low, NWJ 0.1 and 4
(an exponential of a few held-out y).  Where log p / q is not smooth, all fail: between rings of 8
modes of std 0.15 and 0.25 they find nothing of the 0.38 nats.

Source: Donsker and Varadhan 1983, "Asymptotic evaluation of certain Markov process expectations for
large time" (1); Nguyen, Wainwright, Jordan 2010, "Estimating divergence functionals and the
likelihood ratio by convex risk minimization" (2), whose f is ours plus 1; McAllester and Stratos
2020, "Formal limitations on the measurement of mutual information" (the need for c).
Checked in tests/divergence/test_variational.py::test_their_gradients_are_exact,
tests/divergence/test_variational.py::test_every_parameter_has_its_exact_gradient
and tests/divergence/test_variational.py::test_with_the_true_ratio_the_bound_is_tight.
"""
from dataclasses import KW_ONLY, dataclass
from math import log
from typing import Callable

import numpy as np

from scratch import checks
from scratch.divergence.samples import one_sample, two_samples
from scratch.estimate import Estimate
from scratch.kernels.dense import mlp, mlp_init, mlp_size
from scratch.kernels.stable import logsumexp, softplus
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit


def logistic(f_x, f_y):
    """The loss of a classifier of x against y, and its gradients in f_x (n,) and f_y (m,)."""
    loss_x, pull_x = softplus(-f_x)
    loss_y, pull_y = softplus(f_y)
    return loss_x.mean() + loss_y.mean(), -pull_x(1 / len(f_x)), pull_y(1 / len(f_y))     # (3), d(3)


def donsker_varadhan(f_x, f_y):
    """Minus the bound (1), its constant fixed, and its gradients."""
    L = logsumexp(f_y)[0] - log(len(f_y))
    softmax = np.exp(f_y - L) / len(f_y)
    return -f_x.mean() + L + L ** 2, np.full(len(f_x), -1 / len(f_x)), (1 + 2 * L) * softmax      # (4), d(4)


def nguyen_wainwright_jordan(f_x, f_y):
    """Minus the bound (2), and its gradients."""
    ratio = np.exp(f_y)
    return -f_x.mean() + ratio.mean() - 1, np.full(len(f_x), -1 / len(f_x)), ratio / len(f_y)     # (5), d(5)


@dataclass(frozen=True)
class LogRatio:
    """The network f(x) ~ log p / q, a model like any other; its data are rows (x, 1) and (y, 0)."""
    dim: int
    _: KW_ONLY
    bound: float                        # c: |f| stays below
    decay: float                        # weight of the penalty
    hidden: tuple = (64, 64)
    objective: Callable = logistic
    recipe = Recipe(Adam(3e-3), batch_size=256)             # 1e-3 is as good, 1e-2 worse at D = 20

    def __post_init__(self):
        checks.fields(self, dim=checks.size, bound=checks.positive, decay=checks.nonnegative,
                      hidden=checks.widths, objective=checks.function)

    @property
    def widths(self):
        """The widths of all layers."""
        return (self.dim, *self.hidden, 1)

    def init(self, rng, dtype=np.float32):
        """Random parameters (P,); a last layer ten times smaller lets f start near 0 (p = q)."""
        theta = mlp_init(rng, self.widths, dtype)
        theta[-self.widths[-2] - 1:] *= 0.1
        return theta

    def draw_noise(self, rng, n):
        """Nothing in this loss is random."""

    def log_ratio(self, theta, x):
        """f (N,) at the rows of x, and the vector-Jacobian product pull(df) -> dtheta."""
        theta = checks.flat(theta, mlp_size(self.widths))
        a, pull_a = mlp(theta, checks.rows(x, self.dim), self.widths)             # (N, 1)
        t = np.tanh(a[:, 0] / self.bound)
        return self.bound * t, lambda df: pull_a((df * (1 - t * t))[:, None].astype(a.dtype))[0]  # (6), d(6)

    def loss(self, theta, rows, noise=None):
        """The objective on a batch (N, D + 1), and its gradient (P,)."""
        rows = checks.rows(rows, self.dim + 1, "rows")
        is_x = rows[:, -1].real > 0.5
        f, pull = self.log_ratio(theta, np.ascontiguousarray(rows[:, :-1]))
        df = np.empty_like(f)
        value, df[is_x], df[~is_x] = self.objective(f[is_x], f[~is_x])
        return value + 0.5 * self.decay * (theta @ theta), pull(df) + self.decay * theta          # (7), d(7)


@dataclass(frozen=True, eq=False)
class _Labeled:
    """A law that draws batches of half x, labeled 1, and half y, labeled 0."""
    x: np.ndarray
    y: np.ndarray

    def sample(self, n, rng):
        rows = np.concatenate([self.x[rng.integers(len(self.x), size=n // 2)],
                               self.y[rng.integers(len(self.y), size=n - n // 2)]])
        return np.column_stack([rows, np.arange(n) < n // 2])


def kl_classifier(x, y, rng, hidden=(64, 64), steps=500):
    """KL(p || q) in nats from x (n, D) of p, y (m, D) of q: f by the logistic loss, bound (1)."""
    return _cross_fitted(x, y, rng, logistic, _dv_bound, hidden, steps)


def kl_donsker_varadhan(x, y, rng, hidden=(64, 64), steps=500):
    """The same, trained on the bound (1) itself."""
    return _cross_fitted(x, y, rng, donsker_varadhan, _dv_bound, hidden, steps)


def kl_nwj(x, y, rng, hidden=(64, 64), steps=500):
    """The same, trained on and evaluated by the bound (2)."""
    return _cross_fitted(x, y, rng, nguyen_wainwright_jordan, _nwj_bound, hidden, steps)


def _cross_fitted(x, y, rng, objective, bound, hidden, steps):
    x, y = two_samples(x, y)
    checks.generator(rng)
    if min(len(x), len(y)) < 8:
        raise ValueError(f"two halves to train and to measure on need at least 8 rows of x and of y, "
                         f"got {len(x)} and {len(y)}")
    half_x, half_y = rng.permutation(len(x)) % 2, rng.permutation(len(y)) % 2
    values, variance = [], 0.0
    for held_out in (0, 1):
        f = train_log_ratio(x[half_x != held_out], y[half_y != held_out], rng, objective, hidden, steps)
        f_x, f_y = f(x[half_x == held_out]), f(y[half_y == held_out])
        value, r = bound(f_x, f_y)
        values.append(value)
        variance += (f_x.var(ddof=1) / len(f_x) + r.var(ddof=1) / len(r)) / 4     # (8), of the mean of two
    return Estimate(float(np.mean(values)), float(np.sqrt(variance)), len(x))


def train_log_ratio(x, y, rng, objective=logistic, hidden=(64, 64), steps=500):
    """f(rows) -> (n,) float64, an estimate of log p / q trained on x (n, D) and y (m, D)."""
    x = one_sample(x)
    y = one_sample(y, "y", x.shape[1])
    low, center, high = np.quantile(np.concatenate([x, y]), [0.25, 0.5, 0.75], axis=0)    # (D,) each
    unit = np.where(high > low, high - low, 1.0)

    def features(rows):
        return np.arcsinh((rows - center) / unit).astype(np.float32)              # u

    model = LogRatio(x.shape[1], bound=log(min(len(x), len(y))), decay=10 / (len(x) + len(y)),
                     hidden=hidden, objective=objective)
    theta = fit(model, model.init(rng), _Labeled(features(x), features(y)), rng, steps=steps)
    return lambda rows: model.log_ratio(theta, features(rows))[0].astype(np.float64)


def _dv_bound(f_x, f_y):
    """(1), and r of (8) at the y, (m,)."""
    L = logsumexp(f_y)[0] - log(len(f_y))
    return f_x.mean() - L, np.exp(f_y - L)                                        # (1)


def _nwj_bound(f_x, f_y):
    """(2), and r of (8) at the y, (m,)."""
    r = np.exp(f_y)
    return f_x.mean() - r.mean() + 1, r                                           # (2)
