"""Generative adversarial network: a generator learns from a critic, and the critic learns to tell it from the data.

Model.   x = G(z), z ~ N(0, I): easy to sample, no density to write down (push_forward.py finds it for K = 2).
         C(x) is one number, high where the critic believes in data.  At its best it is log p(x) / q(x)
         (wasserstein: a potential without that meaning; optimal_discriminator.py).

Game.    Two losses, each player descends its own (Goodfellow et al. 2014).  With softplus(a) = log(1 + e^a):

                            critic's                                      generator's
    minimax                 softplus(-C(x)) + softplus(C(G))              -softplus(C(G))
    non_saturating          softplus(-C(x)) + softplus(C(G))              softplus(-C(G))
    wasserstein             C(G) - C(x)                                   -C(G)
    relativistic            softplus(C(G) - C(x))                         softplus(C(x) - C(G))

in the mean over x ~ data and z.  The second moves G where the first has no slope (2014, section 3);
the third needs a critic whose slope is at most 1 (Arjovsky et al. 2017); the fourth compares pairs: a mode
that is forgotten keeps pulling (Jolicoeur-Martineau 2019; Sun et al. 2020; Huang et al. 2024, eq. 2).

Penalty on the critic's slope v = dC/dx, added to the critic's loss:

    zero_centered     gamma/2 E|v|^2 at data and at samples: R1 and R2 (Roth et al. 2017; Mescheder et al. 2018)
    one_centered      gamma E(|v| - 1)^2 at random mixtures of the two: WGAN-GP (Gulrajani et al. 2017, eq. 3)

Without it the game need not converge (see dirac_gan.py).  The zero-centered gamma is lowered along the run,
as Huang et al. do at its beginning: while it is high the critic is smooth and sees all modes, later it sees detail.

Gradient.   theta = [generator, critic], and dtheta is the game's vector field (Mescheder et al. 2017): each
block holds the gradient of that player's own loss.  The critic's is pulled back from dC and, through the
penalty, from dv (kernels/dense.py, mlp_slope: second order by hand).  The generator's uses the same v:

    dG = (dC at G(z), by its own loss) v(G(z)),     pulled back through G only

Both networks see their input together with sines of it, [x, sin(k x), cos(k x)]: fixed features without which
a perceptron learns only what is smooth (Tancik et al. 2020).  The critic needs them to tell fine modes, the
generator to be steep between modes.  f = sin(k x) gives v += k cos(k x) df.
Frequencies and gamma are made for data whose standard deviation is about 1.

Symbols: N batch, D data, K latent, F features.  noise is (z (N, K), share (N, 1)).
"""
from dataclasses import dataclass, replace
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.push_forward import push_forward_log_prob
from scratch.kernels.dense import mlp, mlp_init, mlp_size, mlp_slope, mlp_views
from scratch.kernels.stable import softplus
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

FREQUENCIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)              # of the critic's sines, unless told otherwise
LATENT_FREQUENCIES = (1.0, 2.0, 4.0)                        # of the generator's
STEEP = 3.0                    # scales the generator's first layer
LAST_GAMMA = 1e-3              # what is left of a zero-centered gamma at the end of a run, as a share


# ---- objectives: logits (N,) at data and at samples -> (losses, slopes) ----
# losses    (generator's, critic's), in nats but for wasserstein
# slopes    of the critic's loss in both logits, of the generator's loss in the logits of its samples

def minimax(real, fake):
    """The game of the first paper (Goodfellow et al. 2014, eq. 1): V = -critic's loss, both play for V."""
    losses, (dreal, dfake, _) = non_saturating(real, fake)
    caught, pull = softplus(fake)
    return (-np.mean(caught), losses[1]), (dreal, dfake, pull(_each(fake, -1)))


def non_saturating(real, fake):
    """The generator raises log sigmoid(C(G)) instead (Goodfellow et al. 2014, section 3)."""
    missed, pull_missed = softplus(-real)
    caught, pull_caught = softplus(fake)
    unconvincing, pull_unconvincing = softplus(-fake)
    losses = np.mean(unconvincing), np.mean(missed) + np.mean(caught)
    return losses, (-pull_missed(_each(real)), pull_caught(_each(fake)), -pull_unconvincing(_each(fake)))


def wasserstein(real, fake):
    """The difference of means (Arjovsky et al. 2017, eq. 2): a distance if the critic's slope is at most 1."""
    return (-np.mean(fake), np.mean(fake) - np.mean(real)), (_each(real, -1), _each(fake), _each(fake, -1))


def relativistic(real, fake):
    """Each sample against the row of data beside it (Huang et al. 2024, eq. 2)."""
    confused, pull_critic = softplus(fake - real)
    beaten, pull_generator = softplus(real - fake)
    dconfused = pull_critic(_each(fake))
    return (np.mean(beaten), np.mean(confused)), (-dconfused, dconfused, -pull_generator(_each(fake)))


def _each(values, sign=1):
    """The slope of +-mean in each value."""
    return np.full_like(values, sign / len(values))


# ---- penalties: slopes v (M, D) -> (values (M,), their gradients in v (M, D)) ----

def zero_centered(v):
    """1/2 |v|^2: at the optimum the critic is flat where the data are."""
    return 0.5 * np.sum(v * v, axis=1), v


def one_centered(v):
    """(|v| - 1)^2, with gradient 2 (|v| - 1) v / |v|, and 0 where v is 0 and has no direction."""
    length = np.sqrt(np.sum(v * v, axis=1, keepdims=True))                      # (M, 1)
    return ((length - 1) ** 2)[:, 0], 2 * (length - 1) * v / np.where(length == 0, 1, length)


OWN_PENALTY = {relativistic: (zero_centered, 0.2), wasserstein: (one_centered, 10.0)}      # others: none


def lower_gamma(model, done):
    """The model at this share of the run: a zero-centered gamma falls geometrically to LAST_GAMMA of itself."""
    if model.penalty is not zero_centered:
        return model
    return replace(model, gamma=model.gamma * LAST_GAMMA ** done)


def sines(x, frequencies):
    """[x, sin(k x), cos(k x)] as (M, F), and their slopes in x, (M, F / D, D)."""
    k = np.asarray(frequencies, x.real.dtype)[:, None]                            # (k, 1)
    turn = k * x[:, None, :]                                                      # (M, k, D)
    sine, cosine = np.sin(turn), np.cos(turn)
    features = np.concatenate([x[:, None, :], sine, cosine], axis=1)
    slope = np.concatenate([np.ones_like(x)[:, None, :], k * cosine, -k * sine], axis=1)
    return features.reshape(len(x), -1), slope


@dataclass(frozen=True)
class GAN:
    """Generator K - hidden - D and critic F - hidden - 1, in one theta.

    objective: a function of the critic's logits, as above.  penalty and gamma: by default those
    that belong to the objective, looked up when the model is made (gamma = 0: none).
    frequencies: of the critic's sines, up to about 1 / (the width of the law's finest
    detail): with more the critic sees texture that is not there, with fewer it is blind.

    >>> model = GAN(dim=2, latent=2, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.sample(theta, 4, np.random.default_rng(1)).shape
    (4, 2)
    """
    dim: int
    latent: int
    hidden: tuple
    objective: Callable = relativistic
    penalty: Callable = None
    gamma: float = None
    frequencies: tuple = FREQUENCIES

    # Both players at one rate (`rates` for two), without momentum, which feeds a game's rotation (Gidel et al. 2019).
    recipe = Recipe(Adam(3e-3, beta1=0.0, beta2=0.99), batch_size=256, anneal=lower_gamma)
    latent_frequencies = LATENT_FREQUENCIES

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.size(self.latent, "latent")
        object.__setattr__(self, "hidden", checks.widths(self.hidden))
        frequencies = tuple(checks.positive(k, "each of frequencies") for k in self.frequencies)
        object.__setattr__(self, "frequencies", frequencies)
        own_penalty, own_gamma = OWN_PENALTY.get(self.objective, (zero_centered, 0.0))
        penalty = own_penalty if self.penalty is None else self.penalty
        gamma = own_gamma if self.gamma is None else self.gamma
        for function, name in ((self.objective, "objective"), (penalty, "penalty")):
            if not callable(function):
                raise TypeError(f"{name} must be a function of this module or one like them, got {function!r}")
        object.__setattr__(self, "penalty", penalty)
        object.__setattr__(self, "gamma", checks.positive(gamma, "gamma") if gamma != 0 else 0.0)

    @property
    def generator_widths(self):
        """The generator's layers."""
        return (self.latent * (1 + 2 * len(self.latent_frequencies)), *self.hidden, self.dim)

    @property
    def critic_widths(self):
        """The critic's layers, features first."""
        return (self.dim * (1 + 2 * len(self.frequencies)), *self.hidden, 1)

    @property
    def size(self):
        """The length of theta."""
        return mlp_size(self.generator_widths) + mlp_size(self.critic_widths)

    @property
    def players(self):
        """Where in theta the generator stands, and where the critic."""
        middle = mlp_size(self.generator_widths)
        return slice(0, middle), slice(middle, self.size)

    def split(self, theta):
        """The generator's parameters and the critic's: views of theta (P,)."""
        theta = checks.flat(theta, self.size)
        return tuple(theta[player] for player in self.players)

    def rates(self, generator, critic):
        """A learning rate for each player, as an optimizer takes it: one number per parameter (P,)."""
        rates = np.empty(self.size)
        for player, rate in zip(self.players, (generator, critic)):
            rates[player] = rate
        return rates

    def init(self, rng, dtype=np.float32):
        """Random theta (P,), the generator steep from the start."""
        generator = mlp_init(rng, self.generator_widths, dtype)
        for part in mlp_views(generator, self.generator_widths)[0]:
            part *= STEEP
        return np.concatenate([generator, mlp_init(rng, self.critic_widths, dtype)])

    def draw_noise(self, rng, n):
        """z ~ N(0, I) and, for the mixtures of WGAN-GP, one share in [0, 1] per row."""
        n = checks.size(n, "n")
        return checks.generator(rng).standard_normal((n, self.latent)), rng.random((n, 1))

    def loss(self, theta, x, noise):
        """(generator's loss, critic's loss), and the game's vector field (P,)."""
        generator, critic = self.split(theta)
        x, z, share = self._inputs(theta, x, noise)
        n = len(x)
        fake, pull_generator = self._generator(generator, z)                    # (N, D)
        logits, v, pull_critic = self._critic(critic, np.concatenate([x, fake]))      # (2 N,), (2 N, D)
        losses, (dreal, dfake, dfooled) = self.objective(logits[:n], logits[n:])
        losses, dlogits = np.array(losses), np.concatenate([dreal, dfake])

        if self.gamma == 0:
            penalty, dcritic = 0.0, pull_critic(dlogits, None)
        elif self.penalty is one_centered:
            _, v_mixed, pull_mixed = self._critic(critic, share * x + (1 - share) * fake)
            penalty, dv = self.penalty(v_mixed)
            dcritic = pull_critic(dlogits, None) + pull_mixed(np.zeros_like(dreal), self.gamma / n * dv)
        else:
            penalty, dv = self.penalty(v)
            dcritic = pull_critic(dlogits, self.gamma / n * dv)
        losses[1] += self.gamma * np.sum(penalty) / n

        dG = dfooled[:, None] * v[n:]                       # the critic is held fixed in the generator's step
        dgenerator, _ = pull_generator(dG)
        return losses, np.concatenate([dgenerator, dcritic])

    def logits(self, theta, x):
        """C(x) (N,): an estimate of log p(x) / q(x), for relativistic up to a constant; not for wasserstein."""
        features, _ = sines(self._rows(x, theta), self.frequencies)
        return mlp(self.split(theta)[1], features, self.critic_widths)[0][:, 0]

    def sample(self, theta, n, rng):
        """n rows G(z)."""
        z, _ = self.draw_noise(rng, n)
        return self.generate(theta, z)

    def generate(self, theta, z):
        """G(z) (N, D) for z (N, K)."""
        generator, _ = self.split(theta)
        return self._generator(generator, checks.rows(z, self.latent, "z").astype(generator.dtype, copy=False))[0]

    def push_forward_log_prob(self, theta, x):
        """log q(x) in nats, (N,), of the generator's law, for latent = dim = 2 (see push_forward.py)."""
        if (self.latent, self.dim) != (2, 2):
            raise ValueError(f"the push-forward density needs latent = dim = 2, got {self.latent} and {self.dim}")
        theta = checks.flat(theta, self.size).astype(np.float64)
        return push_forward_log_prob(lambda z: self.generate(theta, z), x)

    def _generator(self, generator, z):
        """G(z) (N, D), and pull(dG) -> (dgenerator, dfeatures)."""
        features, _ = sines(z, self.latent_frequencies)
        return mlp(generator, features, self.generator_widths)

    def _critic(self, critic, points):
        """Logits (M,), slopes v (M, D), and pull(dlogits, dv) -> dcritic; dv = None where v is not used."""
        features, slope = sines(points, self.frequencies)
        y, dfeatures, pull_mlp = mlp_slope(critic, features, self.critic_widths)
        v = np.sum(slope * dfeatures.reshape(slope.shape), axis=1)                # (M, D)

        def pull(dlogits, dv):
            dfeatures = None if dv is None else (slope * dv[:, None, :]).reshape(features.shape)
            return pull_mlp(dlogits[:, None], dfeatures)[0]

        return y[:, 0], v, pull

    def _rows(self, x, theta):
        x = checks.rows(x, self.dim)
        return x.astype(theta.dtype, copy=False) if x.dtype.kind == "f" else x

    def _inputs(self, theta, x, noise):
        x, (z, share) = self._rows(x, theta), map(np.asarray, noise)
        if np.shape(z) != (len(x), self.latent) or np.shape(share) != (len(x), 1):
            raise ValueError(f"noise must be (z ({len(x)}, {self.latent}), share ({len(x)}, 1)), "
                             f"got {np.shape(z)} and {np.shape(share)}")
        return x, z.astype(theta.dtype, copy=False), share.astype(theta.dtype, copy=False)
