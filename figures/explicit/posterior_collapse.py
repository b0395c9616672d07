"""Posterior collapse: where theory puts it in the linear VAE, and how a strong decoder brings it about."""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from figures.style import COLORS, figure
from scratch.data.distributions import LAWS
from scratch.data.real import mri_patches
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.linear_vae import LinearVAE
from scratch.explicit.vae import VAE
from scratch.kernels.dense import mlp_size
from scratch.kernels.likelihoods import mixture_log_density
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

SECTION = "1.3"
FINDING = "Latent units fall silent where theory says; strong decoders use them less"
SETTINGS = ("Prior N(0, I). a) 3 x 3 MRI patches, 4 units, 32 beta, 2,000 steps of 512 each; lines: exact optimum, "
            "dots: trained. b) ring, the decoder an autoregressive model that may look at z (48-48), 3,000 steps of "
            "256; 8 draws of q a row; dot: one of 3 seeds.")

COMPONENTS = (1, 2, 4, 8, 32)
SEEDS, UNITS, SIDE = 3, 4, 3


@dataclass(frozen=True)
class StrongDecoder(VAE):
    """p(x | z) = prod_i p(x_i | x_<i, z), each conditional a mixture: an autoregressive model that may look at z.

    It is AutoregressiveMixture on the row (z, x), of which only the conditionals of x are used.
    """
    prior: int = 1
    components: int = 1

    @cached_property
    def network(self):
        return AutoregressiveMixture(self.latent + self.dim, components=self.components, hidden=self.hidden)

    @property
    def size(self):
        return mlp_size(self.encoder_widths) + mlp_size(self.network.widths)

    def init(self, rng, dtype=np.float32):
        encoder = super().init(rng, dtype)[:mlp_size(self.encoder_widths)]
        return np.concatenate([encoder, self.network.init(rng, dtype)])

    def log_likelihood(self, decoder, x, z):
        rows = np.concatenate([z.reshape(-1, self.latent), np.tile(x, (len(z), 1))], axis=1)
        parameters, pull_network = self.network.conditionals(decoder, rows)
        log_p, pull_mixture = mixture_log_density(rows[:, self.latent:],
                                                  *(part[:, self.latent:] for part in parameters))

        def pull(dlog_p):
            _, *dseen = pull_mixture(np.broadcast_to(dlog_p.reshape(-1, 1), log_p.shape))
            dparameters = [np.concatenate([np.zeros_like(part[:, :self.latent]), dpart], axis=1)
                           for part, dpart in zip(parameters, dseen)]
            dtheta, drow = pull_network(*dparameters)
            return dtheta, drow[:, :self.latent].reshape(z.shape)

        return np.sum(log_p, axis=1).reshape(z.shape[:2]), pull


def parts(effort):
    """The linear VAE, and a strong decoder of each size, for each seed."""
    return [f"{kind} {seed}" for kind in ("linear", *COMPONENTS) for seed in range(SEEDS)]


def compute_part(part, effort, rng):
    """linear: nats of each unit at each beta, trained, and the exact thresholds; strong: nats in the code and lost."""
    kind, _ = part.split()
    return _linear(effort, rng) if kind == "linear" else _strong(int(kind), effort, rng)


def _linear(effort, rng):
    short = effort == "quick"
    x, _ = mri_patches(SIDE, np.random.default_rng(0))      # the same noise in the gray levels for all seeds
    thresholds = _thresholds(x)
    near = np.sort(np.outer(thresholds, [0.7, 0.85, 0.95, 1.05, 1.2]).ravel())
    betas, trained = np.sort(np.concatenate([np.geomspace(0.25, 60, 12), near])), []
    for beta in betas[:2] if short else betas:
        model = LinearVAE(SIDE ** 2, latent=UNITS, beta=float(beta))
        theta = fit(model, model.init(rng), x, rng, steps=10 if short else 2000)
        mean, log_std = model.encode(theta, x)
        trained.append(np.sort(0.5 * np.mean(mean ** 2 + np.exp(2 * log_std) - 2 * log_std - 1, axis=0))[::-1])
    betas = betas[:len(trained)]
    fine = np.geomspace(0.2, 80, 60 if short else 300)
    exact, at = ([LinearVAE(SIDE ** 2, latent=UNITS, beta=float(beta)).unit_kl(x) for beta in grid]
                 for grid in (fine, betas))
    return dict(betas=betas, trained=trained, fine=fine, exact=exact, at=at, thresholds=thresholds)


def _thresholds(x):
    """The beta at which each unit falls silent, (UNITS,): t = l_a where unit a has just left the sum over j >= a."""
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    return np.array([values[a] * len(values) / (values[a:].sum() + a * values[a]) for a in range(UNITS)])


def _strong(components, effort, rng):
    short, law = effort == "quick", LAWS["ring"]
    y = law.sample(50 if short else 4000, rng)
    model = StrongDecoder(2, hidden=(8,) if short else (48, 48), components=components)
    theta = fit(model, model.init(rng), law, rng, steps=10 if short else 3000,
                recipe=Recipe(Adam(3e-3, beta2=0.99), batch_size=256))
    _, (reconstruction, kl), _ = model.elbo_loss(theta, y, rng.standard_normal((8, len(y), 2)))
    excess = law.log_prob(y) + reconstruction + kl
    return dict(code=kl.mean(), lost=excess.mean(), error=excess.std(ddof=1) / np.sqrt(len(y)))


def gather(effort, parts):
    """Trained nats (seeds, betas, units); nats in the code and lost (components, seeds)."""
    linear = [parts[f"linear {seed}"] for seed in range(SEEDS)]
    strong = {key: [[parts[f"{k} {seed}"][key] for seed in range(SEEDS)] for k in COMPONENTS]
              for key in ("code", "lost", "error")}
    return linear[0] | strong | dict(trained=[part["trained"] for part in linear], seeds=SEEDS)


def claim(results):
    """How far training is from theory; the code of the weakest and the strongest decoder."""
    off, code = np.abs(results["trained"] - results["at"]), results["code"].mean(axis=1)
    return (f"Units of trained linear VAEs are {off.mean():.3f} nats from theory on average (most: {off.max():.2f}); "
            f"stronger decoders lower the code from {code[0]:.2f} to {code[-1]:.3f}.")


def checks(results):
    """Theory against training; what the strong decoder does with its code, and what that costs."""
    silent, loud = results["at"] == 0, results["at"] > 0.3
    off = np.abs(results["trained"] - results["at"])
    return {"trained units within 0.05 nats of theory on average": bool(off.mean() < 0.05),
            "units that theory silences carry less than 0.02 nats": bool((results["trained"][:, silent] < 0.02).all()),
            "units above 0.3 nats in theory are not silent": bool((results["trained"][:, loud] > 0.1).all()),
            "the strongest decoder has less than half of the weakest's nats in its code, in every seed":
                bool((results["code"][-1] < results["code"][0] / 2).all()),
            "the strongest decoder loses less than the weakest, in every seed":
                bool((results["lost"][-1] + 3 * results["error"][-1] < results["lost"][0]).all())}


def draw(results):
    """Nats of each unit against beta; nats of the whole code against the number of mixture components."""
    fig = figure(3.9, FINDING, SETTINGS)
    linear, strong = fig.subplots(1, 2, width_ratios=[1.5, 1])
    for unit, threshold in enumerate(results["thresholds"]):
        linear.semilogx(results["fine"], results["exact"][:, unit], color="black", lw=1)
        for seed in results["trained"]:
            linear.semilogx(results["betas"], seed[:, unit], "o", ms=4, mew=0, alpha=0.6, color=COLORS["vae"])
        side = ("center", "left", "right", "center")[unit]  # of units 2 and 3 the numbers are close
        linear.annotate(f"{threshold:.2g}", (threshold, 0), (threshold, -0.2), ha=side, va="top", fontsize=8,
                        arrowprops=dict(arrowstyle="-", lw=0.8))
    linear.text(0.45, 4.1, "unit 1")
    linear.text(0.21, 0.7, "units 2, 3, 4")
    linear.set(xlabel="beta (below the axis: where theory silences a unit)", ylabel="KL of each unit [nats]",
               ylim=(-0.45, None), title="a) linear VAE: line exact, dots trained")
    places = np.arange(len(COMPONENTS))
    for key, color, label in (("code", COLORS["vae"], "in the code"), ("lost", "black", "lost: -ELBO - entropy")):
        strong.plot(places, results[key].mean(axis=1), color=color, lw=1)
        strong.plot(places, results[key], "o", ms=4, mew=0, alpha=0.7, color=color)
        strong.text(1.1, results[key][1].mean() + 0.1, label, color=color)
    strong.set_xticks(places, COMPONENTS)
    strong.set(ylim=(-0.08, 2.4), xlabel="Gaussians in each conditional of the decoder", ylabel="nats",
               title="b) autoregressive decoder")
    return fig
