"""Flow matching: learn the velocity that carries noise to data along straight lines.

(Lipman et al. 2023; Liu et al. 2023, "rectified flow".)  Put each datum x0 and a
noise eps ~ N(0, I) at the ends of a line, and walk it at constant speed:

    x_t = (1 - t) x0 + t eps,       dx_t/dt = eps - x0,         t = 0: data,  t = 1: noise

Many lines cross at a point.  The velocity there that is best in mean square is
their mean, v*(x, t) = E[eps - x0 | x_t = x], and that is enough: the flow
dx/dt = v*(x, t) has the law of x_t at every t, though its paths do not cross.

Loss.    L = 1/D E |v(x_t, t) - (eps - x0)|^2,   t uniform        a mean square per coordinate, not nats

Network.  For data of standard deviation s, V = (1 - t)^2 s^2 + t^2 is the variance of x_t, and

    v(x_t, t) = (t - (1 - t) s^2) / V x_t + s / sqrt(V) F(x_t / sqrt(V), level)

The first term is the best linear guess of eps - x0, s / sqrt(V) the standard deviation
of what it leaves to explain.  So dF = s / sqrt(V) dv, with dv = 2/(N D) (v - (eps - x0)).

The same thing as diffusion.  With sigma = t / (1 - t), x_t / (1 - t) = x0 + sigma eps: the
noisy data of diffusion/denoiser.py in other units.  From x_t = (1 - t) x0 + t eps,
in the mean given x_t,

    E[x0 | x_t] = x_t - t v,        so        D(x, sigma) = x_t - t v(x_t, t),   x_t = x / (1 + sigma)

and every sampler and likelihood of that package serves this model by `denoise`.  An
Euler step is the same step: both hold on to x0 and eps as they seem now.  And F is,
up to its sign, the F of that file: all that differs is how much each noise level counts.

Coupling.  Lines drawn at random cross a lot, so v* bends and steps must be short.
Pairing each batch's data and noise so that the lines are short, by optimal transport
within the batch, untangles them (Pooladian et al. 2023; Tong et al. 2023).  Both ends
keep their laws, so the flow still ends at the data.  But eps is no longer
independent of x0: E[x0 | x_t] is not the denoiser of x0 + sigma eps any more, and v
no score.  `denoise` then has no meaning of its own, and a sampler that adds noise
(DDIM with eta > 0, the SDE) gives a wrong law; only the flow itself remains, which
`sample` and `log_prob` follow in t.

Density.  d log p / dt = -div v along the path (Chen et al. 2018), so

    log p(x) = log N(x_1; 0, I) + integral of div v dt

Symbols: N batch, D data.  noise is (eps (N, D), t (N,)).
"""
from dataclasses import dataclass
from itertools import pairwise
from math import log, pi
from typing import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment

from scratch import checks
from scratch.implicit.diffusion.network import Network
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

NEAREST_END = 1e-4             # the network's level is infinite at t = 0 and 1, and is held from here on
GRADING = 1.5                  # times are u^GRADING, equal steps in u: finer near the data, where the detail is
CHUNK = 500                    # rows whose density is computed at once: they stay in the processor's cache


# ---- couplings: rows x0 and eps (N, D) -> eps in the order in which it meets x0 ----

def independent(x0, eps):
    """Each datum meets the noise that was drawn with it."""
    return eps


def minibatch_optimal_transport(x0, eps):
    """The pairing of the batch with the least sum of squared distances (the assignment problem)."""
    cost = -(x0 @ eps.T)                                    # |x0 - eps|^2 / 2 up to what no pairing changes
    return eps[linear_sum_assignment(cost.real)[1]]


# ---- following a velocity(x, t) from times[0] to times[-1] ----

def euler(velocity, x, times):
    """Order 1: along each straight piece with the velocity at its start."""
    for t, later in pairwise(times):
        x = x + (later - t) * velocity(x, t)
    return x


def heun(velocity, x, times):
    """Order 2: with the mean of the velocities at both ends."""
    for t, later in pairwise(times):
        v = velocity(x, t)
        x = x + (later - t) / 2 * (v + velocity(x + (later - t) * v, later))
    return x


@dataclass(frozen=True)
class FlowMatching:
    """A velocity field for data in `dim` coordinates, each with a standard deviation of about sigma_data.

    >>> model = FlowMatching(dim=2, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.sample(theta, 4, np.random.default_rng(1)).shape
    (4, 2)
    """
    dim: int
    hidden: tuple
    coupling: Callable = independent
    sigma_data: float = 1.5

    recipe = Recipe(Adam(3e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        checks.positive(self.sigma_data, "sigma_data")
        if not callable(self.coupling):
            raise TypeError(f"coupling must be a function such as independent, got {self.coupling!r}")
        object.__setattr__(self, "hidden", self.network.hidden)                   # checked there, as a tuple

    @property
    def network(self):
        """The network, without its parameters."""
        return Network(self.dim, self.hidden)

    @property
    def size(self):
        """The length of theta."""
        return self.network.size

    def init(self, rng, dtype=np.float32):
        """Random theta (P,)."""
        return self.network.init(rng, dtype)

    def draw_noise(self, rng, n):
        """eps (n, D), and t (n,): one from each n-th part of [0, 1] (less noise in the loss)."""
        eps = checks.generator(rng).standard_normal((checks.size(n, "n"), self.dim))
        return eps, rng.permutation((np.arange(n) + rng.random(n)) / n)

    def loss(self, theta, x, noise):
        """The mean square of v - (eps - x0) per coordinate, and its gradient (P,)."""
        theta, x = checks.inputs(self, theta, x)
        eps, t = (np.asarray(part).astype(x.dtype, copy=False) for part in noise)
        if eps.shape != x.shape or t.shape != (len(x),):
            raise ValueError(f"noise must be eps {x.shape} and t ({len(x)},), got {eps.shape} and {t.shape}")
        eps = self.coupling(x, eps)
        x_t = (1 - t[:, None]) * x + t[:, None] * eps                             # (N, D)
        linear, rest, scale, level = self._scales(t[:, None])
        F, pull = self.network(theta, scale * x_t, level[:, 0])
        error = linear * x_t + rest * F - (eps - x)
        loss = np.sum(error * error) / error.size
        dv = error * (2 / error.size)
        dtheta, _ = pull(rest * dv)
        return loss, dtheta

    # ---- the velocity, the denoiser that it holds, and their tangents ----

    def velocity(self, theta, x, t):
        """v(x, t), (N, D), at the places x (N, D) and the time t in [0, 1]."""
        theta, x = checks.inputs(self, theta, x)
        linear, rest, scale, level = self._scales(_time(t))
        return linear * x + rest * self.network(theta, scale * x, level)[0]

    def velocity_tangent(self, theta, x, x_dot, t):
        """v and v_dot = dv/dx x_dot, (N, D) each."""
        theta, x = checks.inputs(self, theta, x)
        x_dot = np.broadcast_to(x_dot, x.shape).astype(x.dtype, copy=False)
        linear, rest, scale, level = self._scales(_time(t))
        F, F_dot, _ = self.network.jvp(theta, scale * x, scale * x_dot, level)
        return linear * x + rest * F, linear * x_dot + rest * F_dot

    def denoise(self, theta, x, sigma):
        """E[x0 | x0 + sigma eps = x] as learned with the independent coupling, (N, D)."""
        t = _time_of(sigma)
        x_t = (1 - t) * x
        return x_t - t * self.velocity(theta, x_t, t)

    def denoise_tangent(self, theta, x, x_dot, sigma):
        """D and D_dot = dD/dx x_dot, (N, D) each: what diffusion/likelihood.py asks for."""
        t = _time_of(sigma)
        x_t, x_t_dot = (1 - t) * x, (1 - t) * x_dot
        v, v_dot = self.velocity_tangent(theta, x_t, x_t_dot, t)
        return x_t - t * v, x_t_dot - t * v_dot

    def _scales(self, t):
        """The factors of x_t, of F and of F's input, and the level 1/4 log(sigma / s), shaped like t."""
        s, inside = self.sigma_data, np.clip(t, NEAREST_END, 1 - NEAREST_END)
        scale = 1 / np.hypot((1 - t) * s, t)
        level = 0.25 * np.log(inside / ((1 - inside) * s))
        return (t - (1 - t) * s * s) * scale * scale, s * scale, scale, level

    # ---- use ----

    def sample(self, theta, n, rng, steps=32):
        """n rows (n, D): noise, carried along the flow by Heun's method."""
        n, theta = checks.size(n, "n"), checks.flat(theta, self.size)
        noise = checks.generator(rng).standard_normal((n, self.dim)).astype(theta.dtype)
        return heun(lambda x, t: self.velocity(theta, x, t), noise, graded_times(steps)[::-1])

    def log_prob(self, theta, x, steps=32):
        """log p(x) in nats, (N,), along the flow with the exact divergence, by Runge-Kutta steps of order 4."""
        theta, x = checks.inputs(self, theta, x)
        times = graded_times(steps)
        return np.concatenate([self._log_prob(theta, x[i:i + CHUNK].astype(float), times)
                               for i in range(0, len(x), CHUNK)])

    def _log_prob(self, theta, x, times):
        def slope(x, t):
            div_v = 0.0
            for i, direction in enumerate(np.eye(self.dim)):
                v, v_dot = self.velocity_tangent(theta, x, direction, t)
                div_v = div_v + v_dot[:, i].astype(float)
            return v, div_v

        gained = np.zeros(len(x))
        for t, later in pairwise(times):
            h, middle = later - t, (t + later) / 2
            v1, div1 = slope(x, t)
            v2, div2 = slope(x + h / 2 * v1, middle)
            v3, div3 = slope(x + h / 2 * v2, middle)
            v4, div4 = slope(x + h * v3, later)
            x = x + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
            gained += h / 6 * (div1 + 2 * div2 + 2 * div3 + div4)
        return -0.5 * np.sum(x * x, axis=1) - self.dim / 2 * log(2 * pi) + gained


def graded_times(steps):
    """0 ... 1 in so many steps, (steps + 1,), as Python floats, which leave float32 as it is."""
    return (np.linspace(0, 1, checks.size(steps, "steps") + 1) ** GRADING).tolist()


def _time(t):
    t = float(checks.constant(t, "t"))
    if not 0 <= t <= 1:
        raise ValueError(f"t must lie in [0, 1], got {t}")
    return t


def _time_of(sigma):
    sigma = checks.positive(sigma, "sigma")
    return sigma / (1 + sigma)
