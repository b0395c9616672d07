"""Flow matching: learn the velocity that carries noise to data along straight lines.

Process. A line joins each datum x0 to a noise eps ~ N(0, I):
    x_t = (1 - t) x0 + t eps,       dx_t/dt = eps - x0,         t = 0: data,  t = 1: noise     (1)

(Lipman et al. 2023, "Flow Matching for Generative Modeling"; Liu et al. 2023, "Flow Straight and
Fast").  Here t grows from data to noise, as sigma does in the other files; in these papers t = 1 is data.
Lines cross.  The best velocity in mean square is their average, v*(x, t) = E[eps - x0 | x_t = x].
The paths of dx/dt = v*(x, t) do not cross, and yet have the distribution of x_t at every t.

Loss.    L = 1/D E |v(x_t, t) - (eps - x0)|^2,   a mean square per coordinate                   (2)
         t = u / (u + a (1 - u)),   u uniform on [0, 1]                                        (3)

In these papers t is uniform, a = 1.  The best v is the same for every distribution of t.  But details
of the data (of standard deviation s) appear at low noise, where t / (1 - t) is 0.05 s to 0.4 s, and 31 %
of uniform t lie there.  (3) divides t / (1 - t) by a.  With a = 3, 46 % of t lie there, and some still
lie everywhere (eq. 23 of Esser et al. 2024, "Scaling Rectified Flow Transformers", who shift t toward
noise instead).

Network. For data of standard deviation s, V = (1 - t)^2 s^2 + t^2 is the variance of x_t, and
    v(x_t, t) = (t - (1 - t) s^2) / V x_t + s / sqrt(V) F(x_t / sqrt(V), level)                (4)

The first term is the best linear estimate of eps - x0, and s / sqrt(V) is the std of its error.
All lengths are in units of sigma_data / 1.5.  So s = 1.5, and noise N(0, I) suits data of any scale.

Gradient. dv = 2/(N D) (v - (eps - x0)) and dF = s / sqrt(V) dv.  The network's pullback
(vector-Jacobian product) takes dF to dtheta.

Diffusion. With sigma = t / (1 - t), x = x_t / (1 - t) = x0 + sigma eps is that of denoiser.py.
Given x_t, the expectation of (1) is x_t = (1 - t) E[x0 | x_t] + t E[eps | x_t], so
    xhat(x, sigma) = E[x0 | x_t] = x_t - t v(x_t, t),        x_t = x / (1 + sigma)             (5)

Every sampler and likelihood of this folder takes this `denoise`, and an Euler step in t is one in sigma.
F is that of denoiser.py with the other sign.  The losses differ only in the weights of the noise levels.

Coupling. Lines between random pairs cross often, so paths are curved and steps must be short.
Optimal transport in each batch pairs data and noise by short lines (Pooladian et al. 2023,
"Multisample Flow Matching"; Tong et al. 2023, "Improving and Generalizing Flow-Based Generative
Models").  Both ends keep their distributions, so `sample` and `log_prob` still hold.  But eps then
depends on x0, and (5) is no denoiser of x0 + sigma eps with independent eps.  Samplers that add noise
(DDIM with eta > 0, the SDE) then sample a wrong distribution.

Density. On a path d log p/dt = -div v (Chen et al. 2018, "Neural Ordinary Differential Equations"):
    log p(x) = log N(x_1; 0, I) + integral of div v dt                                         (6)

Checked in tests/implicit/diffusion/test_flow_matching.py::test_gradient_in_every_parameter
Checked in tests/implicit/diffusion/test_flow_matching.py::test_density_is_that_of_likelihood_py
Symbols: N batch, D data, P parameters, std standard deviation.  noise is (eps (N, D), t (N,)).
"""
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from math import log, pi
from typing import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment

from scratch import checks
from scratch.implicit.diffusion.likelihood import in_chunks, runge_kutta
from scratch.implicit.diffusion.network import OnNetwork
from scratch.learning.optimizers import Adam
from scratch.learning.training import USUAL_STD, Recipe

NEAREST_END = 1e-4             # level is infinite at t = 0 and 1, and held from here on; by hand, not swept
SHIFT = 3.0                    # a in (3); by hand: on spirals a KL of 0.009 nats after 10,000 steps, with a = 1 0.016
GRADING = 1.5                  # times are u^GRADING, u in equal steps, finer near data; by hand, not swept


# ---- couplings: rows x0 and eps (N, D) -> eps in the order in which it is paired with x0 ----

def independent(x0, eps):
    """Each datum is paired with the noise that was drawn with it."""
    return eps


def minibatch_optimal_transport(x0, eps):
    """The pairing of the batch with the least sum of squared distances (the assignment problem)."""
    cost = -(x0 @ eps.T)                                    # |x0 - eps|^2 / 2 + terms of x0 or eps alone
    return eps[linear_sum_assignment(cost.real)[1]]


# ---- following a velocity(x, t) from times[0] to times[-1]; order 4: likelihood.runge_kutta ----

def euler(velocity, x, times):
    """Order 1: each step has the velocity at its start."""
    for t, later in pairwise(times):
        x = x + (later - t) * velocity(x, t)
    return x


def heun(velocity, x, times):
    """Order 2: each step has the mean of the velocities at both ends."""
    for t, later in pairwise(times):
        v = velocity(x, t)
        x = x + (later - t) / 2 * (v + velocity(x + (later - t) * v, later))
    return x


def graded_times(steps):
    """0 ... 1, (steps + 1,), as Python floats, which leave float32 as it is."""
    return (np.linspace(0, 1, checks.size(steps, "steps") + 1) ** GRADING).tolist()


@dataclass(frozen=True)
class FlowMatching(OnNetwork):
    """A velocity for data in `dim` coordinates, each with a standard deviation of about sigma_data.

    With F = 0, (4) is linear in x_t, here (0.5 - 0.5 s^2) / (0.25 s^2 + 0.25) x_t with s = 1.5:
    >>> model = FlowMatching(1, sigma_data=2.0)
    >>> model.velocity(np.zeros(model.size), np.array([[13.0]]), t=0.5)
    array([[-10.]])
    """
    dim: int
    _: KW_ONLY
    hidden: tuple = (128, 128, 128)
    coupling: Callable = independent
    sigma_data: float = 1.5                                                       # as in denoiser.py

    recipe = Recipe(Adam(3e-3, beta2=0.99), batch_size=512)                       # as in denoiser.py

    def __post_init__(self):
        checks.fields(self, sigma_data=checks.positive, coupling=checks.function)
        super().__post_init__()

    def draw_noise(self, rng, n):
        """eps (n, D), and t (n,), from one u in each n-th part of [0, 1]: then the loss varies less.

        t is permuted because rows may be sorted.  Training shuffles them: denoiser.py need not.
        """
        eps = checks.generator(rng).standard_normal((checks.size(n, "n"), self.dim))
        u = rng.permutation((np.arange(n) + rng.random(n)) / n)
        return eps, u / (u + SHIFT * (1 - u))                                     # (3)

    def loss(self, theta, x, noise):
        """The mean square of v - (eps - x0) per coordinate, and its gradient (P,)."""
        theta, x = checks.inputs(self, theta, x)
        eps, t = checks.noise(noise, x, eps=x.shape, t=(len(x),))
        x = x / self.unit
        eps = self.coupling(x, eps)
        x_t = (1 - t[:, None]) * x + t[:, None] * eps                             # (N, D)  (1)
        linear, rest, scale, level = self._scales(t[:, None])
        F, pull = self.network(theta, scale * x_t, level[:, 0])
        error = linear * x_t + rest * F - (eps - x)                               # (4)
        loss = np.sum(error * error) / error.size                                 # (2)
        dv = error * (2 / error.size)                                             # d(2)
        return loss, pull(rest * dv, need_dx=False)[0]                            # d(4)

    def sample(self, theta, n, rng, *, steps=32):
        """n rows (n, D): noise, carried along the flow by Heun's method."""
        n, theta = checks.size(n, "n"), checks.flat(theta, self.size)
        noise = checks.generator(rng).standard_normal((n, self.dim)).astype(theta.dtype)
        return heun(lambda x, t: self.velocity(theta, x, t), noise * self.unit, graded_times(steps)[::-1])

    def log_prob(self, theta, x, *, steps=32):
        """log p(x) in nats, (N,), along the flow with its exact divergence."""
        theta, x = checks.inputs(self, theta, x)

        def velocity(state, t):
            """d/dt of the columns [x, integral of div v], (n, D + 1)."""
            pairs = [self.velocity_jvp(theta, state[:, :-1], axis, t) for axis in np.eye(self.dim)]
            return np.column_stack([pairs[0][0], sum(v_dot[:, i] for i, (_, v_dot) in enumerate(pairs))])

        start, times = np.column_stack([x, np.zeros(len(x))]), graded_times(steps)
        end = in_chunks(lambda state: runge_kutta(velocity, state, times), start)
        log_z = self.dim / 2 * log(2 * pi * self.unit ** 2)
        return -0.5 * np.sum((end[:, :-1] / self.unit) ** 2, axis=1) - log_z + end[:, -1]           # (6)

    # ---- the velocity, the denoiser that it holds, and their tangents ----

    def velocity(self, theta, x, t):
        """v(x, t), (N, D), at x (N, D) and one time t in [0, 1]."""
        theta, x = checks.inputs(self, theta, x)
        linear, rest, scale, level = self._scales_at(t, x)
        return linear * x + rest * self.network(theta, scale * x, level)[0]       # (4)

    def velocity_jvp(self, theta, x, x_dot, t):
        """v and its Jacobian-vector product dv/dx x_dot, (N, D) each."""
        theta, x = checks.inputs(self, theta, x)
        x_dot = np.broadcast_to(x_dot, x.shape).astype(x.dtype, copy=False)
        linear, rest, scale, level = self._scales_at(t, x)
        F, F_dot, _ = self.network.jvp(theta, scale * x, scale * x_dot, level)
        return linear * x + rest * F, linear * x_dot + rest * F_dot               # (4), d(4)

    def denoise(self, theta, x, sigma):
        """E[x0 | x0 + sigma eps = x] as learned with the independent coupling, (N, D)."""
        sigma = checks.positive(sigma, "sigma") / self.unit         # a Python float: float32 stays
        t, x_t = sigma / (1 + sigma), checks.rows(x, self.dim) / (1 + sigma)
        return x_t - t * self.velocity(theta, x_t, t)                             # (5)

    def denoise_jvp(self, theta, x, x_dot, sigma):
        """xhat and its Jacobian-vector product dxhat/dx x_dot, (N, D) each."""
        sigma = checks.positive(sigma, "sigma") / self.unit
        t, x_t, x_t_dot = sigma / (1 + sigma), x / (1 + sigma), x_dot / (1 + sigma)
        v, v_dot = self.velocity_jvp(theta, x_t, x_t_dot, t)
        return x_t - t * v, x_t_dot - t * v_dot                                   # (5), d(5)

    def _scales(self, t):
        """The factors of x_t, F and the input of F in (4), and level = 1/4 log(sigma / s)."""
        s, inside = USUAL_STD, np.clip(t, NEAREST_END, 1 - NEAREST_END)
        scale = 1 / np.hypot((1 - t) * s, t)                                      # 1 / sqrt(V)
        level = 0.25 * np.log(inside / ((1 - inside) * s))
        return (t - (1 - t) * s * s) * scale * scale, s * scale, scale, level

    def _scales_at(self, t, x):
        """_scales at one time in [0, 1], for x in the data's units, in the precision of x."""
        t = checks.constant(t, "t")
        if t.ndim or not 0 <= t <= 1:
            raise ValueError(f"t must be one number in [0, 1], got {checks.brief(t)}")
        linear, rest, scale, level = self._scales(float(t))
        return (part.astype(x.real.dtype) for part in (linear, rest * self.unit, scale / self.unit, level))
