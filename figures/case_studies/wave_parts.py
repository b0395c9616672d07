"""What the figures on waveforms share: the models of one pitch period, how each is trained, and its measures."""
import numpy as np

from scratch.data.vowels import DIM, VOWELS, Wavetables, formants, periods, resonances
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.vae import VAE
from scratch.implicit.diffusion.denoiser import SIGMA_MAX, SIGMA_MIN, Diffusion
from scratch.implicit.diffusion.likelihood import in_chunks, runge_kutta, score_gap
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.implicit.importance_density import log_prob as importance_log_prob
from scratch.implicit.wave_gan import WaveGAN
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

LAW = Wavetables()
# gamma 3 falling to 0.006: of 0.3, 1 and 3, one seed each at 3,000 steps, it kept the most vowels in both GANs.
CONVOLUTIONAL = WaveGAN(DIM, channels=(32, 64), gamma=3.0)
DENSE = WaveGAN(DIM, hidden=(128, 128, 128), channels=(), kernels=(), strides=(), gamma=3.0)
MODELS = {                                   # model, recipe, steps: sizes and rates by hand, about a minute each on one core
    "wave gan": (CONVOLUTIONAL, WaveGAN.recipe, 5500),
    "dense gan": (DENSE, WaveGAN.recipe, 5500),
    "vae": (VAE(DIM, latent=4, prior=1, sigma_data=1.0), Recipe(Adam(4e-3, beta2=0.99), batch_size=256), 24_000),
    "autoregressive": (AutoregressiveMixture(DIM, components=5, hidden=(256, 256)),
                       Recipe(Adam(4e-3, beta2=0.99), batch_size=256), 5500),
    "diffusion": (Diffusion(DIM, hidden=(384, 384), sigma_data=1.0, frequencies=()),
                  Recipe(Adam(3e-3, beta2=0.99), batch_size=512), 8000),
}
SAMPLER_STEPS = 24                           # of Heun's method
POOL = 200_000                               # rows that a model is trained on, each at most 31 times


class Pool:
    """Rows of a law, drawn once: a batch of fresh rows would take a third of the time of a step."""

    def __init__(self, rows):
        self.rows = rows.astype(np.float32)

    def sample(self, n, rng):
        """n of the rows (n, D)."""
        return self.rows[rng.integers(len(self.rows), size=n)]


def trained(name, law, rng, steps=None, pool=POOL):
    """The model of this name and its theta after its own number of steps, or after `steps`, on `pool` rows of a law."""
    model, recipe, usual = MODELS[name]
    return model, fit(model, model.init(rng), Pool(law.sample(pool, rng)), rng, steps=steps or usual, recipe=recipe)


def sampled(name, model, theta, n, rng):
    """n rows (n, D)."""
    options = dict(steps=SAMPLER_STEPS) if name == "diffusion" else {}
    return model.sample(theta, n, rng, **options).astype(float)


def exact_samples(law, n, rng):
    """Rows (n, D) by the sampler of the diffusion model with the exact denoiser: no training error."""
    sigmas = karras_sigmas(SAMPLER_STEPS, SIGMA_MIN / 1.5, SIGMA_MAX / 1.5)
    return heun(law.denoise, sigmas[0] * rng.standard_normal((n, DIM)), sigmas)


def morph(model, theta, rng, steps=33):
    """Clean periods (steps, 64) along a line between two codes z of a VAE or GAN, from "heed" to "hod" if there are such."""
    if hasattr(model, "decode"):
        z, decode = model.sample_prior(theta, 200, rng), model.decode
    else:
        mu, log_std = (theta[model.blocks[f"prior {part}"]].reshape(-1, model.latent) for part in ("mean", "log_std"))
        k = rng.integers(len(mu), size=200)
        z, decode = mu[k] + np.exp(log_std[k]) * rng.standard_normal((200, model.latent)), model.generate
    r = LAW.posterior(decode(theta, z).astype(float))
    first, last = z[r[:, VOWELS.index("heed")].argmax()], z[r[:, VOWELS.index("hod")].argmax()]
    t = np.linspace(0, 1, steps)[:, None]
    return decode(theta, (1 - t) * first + t * last)


# ---- a random shift ----

class Aligned:
    """Shifted periods of a law, each turned to where it correlates best with a template.

    The template is the mean of rows that are turned to it, in ten rounds from one row: nothing is known of the phase.
    """

    def __init__(self, law, rng, rows=2000, rounds=10):
        self.law, x = law, law.sample(rows, rng)
        self.template = x[0]
        for _ in range(rounds):
            self.template = self.align(x).mean(axis=0)

    def align(self, x):
        """x (N, 64), turned."""
        inner = np.fft.irfft(np.fft.rfft(x) * np.conj(np.fft.rfft(self.template)), DIM)      # at shift j
        return np.take_along_axis(x, (np.arange(DIM) + inner.argmax(axis=1)[:, None]) % DIM, axis=1)

    def sample(self, n, rng):
        """n aligned rows (n, 64)."""
        return self.align(self.law.sample(n, rng))


def shifted(x, rng):
    """Each row of x (N, 64) with a random circular shift."""
    return np.take_along_axis(x, (np.arange(DIM) - rng.integers(DIM, size=(len(x), 1))) % DIM, axis=1)


# ---- measures of samples, by Bayes' rule ----

MEASURES = ("vowels", "least share", "reverse KL", "residual", "inside", "spectral dB", "mean residual")


def measures(x, law, level):
    """MEASURES (7,) of samples x (N, 64), and the shares of the ten vowels (10,).

    vowels       how many of ten have at least 1 % of the samples
    least share  the smallest share of a vowel
    reverse KL   KL(shares || uniform) in nats, the shares being the mean of the exact posterior
    residual     the root mean square of x minus the nearest clean period, over the noise; the median over samples
    inside       the share of samples with -log p(x) below `level`, the 99 % quantile of the distribution's own
    spectral dB  the root mean square over harmonics 1 ... 31 of 10 log10 (|X|^2 + w) / (|M|^2 + w), M the nearest clean
                 period and w the power of the noise; the median over samples
    """
    shares = law.posterior(x).mean(axis=0)
    vowel, u, rms = law.nearest(x)
    X, M = (np.abs(np.fft.rfft(part)[:, 1:DIM // 2]) ** 2 + DIM * law.noise ** 2 for part in (x, periods(vowel, u)))
    decibel = np.sqrt(np.mean((10 * np.log10(X / M)) ** 2, axis=1))
    reverse = np.sum(shares * np.log(np.maximum(10 * shares, 1e-300)))
    return np.array([np.sum(shares >= 0.01), shares.min(), reverse, np.median(rms) / law.noise,
                     np.mean(-law.log_prob(x) < level), np.median(decibel), rms.mean() / law.noise]), shares


def level_of(law, n, rng):
    """The 99 % quantile of -log p."""
    return np.quantile(-law.log_prob(law.sample(n, rng)), 0.99)


def estimated_formants(x, steps=12):
    """The first two formants in Hz, (N, 2), of the vocal tract nearest to x (N, 64), whose four formants are free.

    From those of the nearest vowel by the Levenberg-Marquardt method in log F: what is no vowel need not look like one.
    """
    vowel, u, _ = LAW.nearest(x)
    w, damping = np.log(formants(vowel, u)), np.full(len(x), 1e-2)
    away = x - resonances(np.exp(w))
    for _ in range(steps):
        slope = np.stack([(resonances(np.exp(w + 1e-5 * e)) - resonances(np.exp(w - 1e-5 * e))) / 2e-5
                          for e in np.eye(4)], axis=1)                            # (N, 4, D)
        H = slope @ slope.mT
        damped = H + damping[:, None, None] * (H * np.eye(4) + 1e-3 * np.eye(4))
        moved = w + np.linalg.solve(damped, (slope @ away[:, :, None]))[:, :, 0]
        moved = np.clip(moved, np.log(150), np.log(3900))
        rest = x - resonances(np.exp(moved))
        better = np.sum(rest ** 2, axis=1) < np.sum(away ** 2, axis=1)
        w, away = np.where(better[:, None], moved, w), np.where(better[:, None], rest, away)
        damping = np.where(better, damping / 5, damping * 4)
    return np.exp(w[:, :2])


# ---- nats ----

def nats(name, model, theta, x, log_p, rng):
    """log p(x) - log q(x) of rows x (N, 64), (N,): exact, or of the kind that the model allows.

    VAE: its importance bound on log q with 64 draws, so the KL is at most the mean.  GAN: an importance estimate,
    whose mean is too large.  Diffusion: along its ODE, with a random direction in place of the exact divergence.
    """
    if name == "autoregressive":
        return log_p - model.log_prob(theta, x.astype(theta.dtype))
    if name == "vae":
        parts = np.array_split(x, -(-len(x) // 200))
        return log_p - np.concatenate([model.importance_bound(theta, part, rng.standard_normal((64, len(part), model.latent)))
                                       for part in parts])
    if name == "diffusion":
        return log_p - ode_log_prob(model, theta, x, rng)
    return log_p - importance_log_prob(model, theta, x, rng).log_q


def ode_log_prob(model, theta, x, rng, steps=24):
    """log q(x) (N,) along the ODE as in likelihood.py, where v^T J v for random signs v estimates div D without bias."""
    s, (N, D) = model.sigma_data, x.shape
    ends = np.arctan([SIGMA_MIN * model.unit / s, SIGMA_MAX * model.unit / s]) ** (1 / 3)
    inner = np.hypot(SIGMA_MIN * model.unit, s)

    def velocity(state, u):
        """d/du of [y, log q, v] with phi = u^3."""
        y, v, sigma = state[:, :D], state[:, D + 1:], s * np.tan(u ** 3)
        c_in = 1 / np.hypot(sigma, s)
        c_skip, c_out, x = (s * c_in) ** 2, s * sigma * c_in, y / c_in
        denoised, along = model.denoise_jvp(theta, x, v, sigma)
        div = (np.sum(v * along, axis=1) - c_skip * D) / (c_out * c_in)
        return 3 * u ** 2 * np.column_stack([-(denoised - c_skip * x) / c_out, div, np.zeros_like(v)])
    start = np.column_stack([x / inner, np.zeros(N), rng.choice([-1.0, 1.0], (N, D))])
    end = in_chunks(lambda state: runge_kutta(velocity, state, np.linspace(*ends, steps + 1)), start)
    return -np.sum(end[:, :D] ** 2, axis=1) / 2 - D / 2 * np.log(2 * np.pi) - end[:, D] - D * np.log(inner)


def denoiser_gap(model, theta, law, rows, rng, levels):
    """Of the diffusion model: loss of the exact denoiser, excess over it, and the bound on the KL of its SDE."""
    x = law.sample(rows, rng)
    bound = score_gap(lambda x, sigma: model.denoise(theta, x, sigma), law.denoise, x, rng,
                      SIGMA_MIN * model.unit, SIGMA_MAX * model.unit, levels)
    return np.array([model.floor(law.denoise, x, rng), model.excess(theta, law.denoise, x, rng), bound.value, bound.stderr])
