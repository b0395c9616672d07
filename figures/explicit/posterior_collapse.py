"""Posterior collapse: where theory puts it in the linear VAE, and how a strong decoder brings it about."""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.data.distributions import LAWS
from scratch.data.real import mri_patches
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.linear_vae import LinearVAE
from scratch.explicit.vae import VAE
from scratch.kernels.dense import mlp_size
from scratch.kernels.likelihoods import mixture_log_density
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

CLAIM = ("A latent unit falls silent exactly where the linear theory says, when beta s^2 reaches its eigenvalue; "
         "and a decoder that can say everything by itself leaves the whole code silent at no cost in likelihood.")
STUDY = True

COMPONENTS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class StrongDecoder(VAE):
    """p(x | z) = prod_i p(x_i | x_<i, z), each conditional a mixture: an autoregressive model that may look at z.

    It is AutoregressiveMixture on the row (z, x), of which only the conditionals of x are used.
    """
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
        log_p, pull_mixture = mixture_log_density(rows[:, self.latent:], *(part[:, self.latent:] for part in parameters))

        def pull(dlog_p):
            _, *dseen = pull_mixture(np.broadcast_to(dlog_p.reshape(-1, 1), log_p.shape))
            dparameters = [np.concatenate([np.zeros_like(part[:, :self.latent]), dpart], axis=1)
                           for part, dpart in zip(parameters, dseen)]
            dtheta, drow = pull_network(*dparameters)
            return dtheta, drow[:, :self.latent].reshape(z.shape)

        return np.sum(log_p, axis=1).reshape(z.shape[:2]), pull


def compute(effort, rng):
    """Nats per unit against beta, trained and exact; nats in the code and excess against the decoder's strength."""
    short = effort == "quick"
    x, _ = mri_patches(3, rng)
    x = x[:200] if short else x
    betas, fine = np.geomspace(0.25, 32, 3 if short else 12), np.geomspace(0.2, 40, 200)
    trained = []
    for beta in betas:
        model = LinearVAE(9, latent=4, beta=float(beta))
        theta = fit(model, model.init(rng), x, rng, steps=10 if short else 2500)
        mean, log_std = model.encode(theta, x)
        trained.append(np.sort(0.5 * np.mean(mean ** 2 + np.exp(2 * log_std) - 2 * log_std - 1, axis=0))[::-1])
    exact = [LinearVAE(9, latent=4, beta=float(beta)).unit_kl(x) for beta in fine]

    law, strong = LAWS["ring"], []
    y, steps = law.sample(50 if short else 4000, rng), 10 if short else 3000
    for components in COMPONENTS:
        model = StrongDecoder(2, hidden=(8,) if short else (48, 48), components=components)
        theta = fit(model, model.init(rng), law, rng, steps=steps,
                    recipe=Recipe(Adam(3e-3, beta2=0.99), batch_size=256))
        noise = rng.standard_normal((8, len(y), 2))
        _, (reconstruction, kl), _ = model.elbo_loss(theta, y, noise)
        excess = law.log_prob(y) + reconstruction + kl
        strong.append((kl.mean(), excess.mean(), excess.std(ddof=1) / np.sqrt(len(y))))
    return dict(betas=betas, fine=fine, trained=trained, exact=exact, strong=strong, steps=steps)


def draw(results):
    """Nats of each unit against beta; nats of the whole code against the number of mixture components."""
    fig = figure(3.5, "Posterior collapse: nats that the code carries, one run a point")
    linear, strong = fig.subplots(1, 2, width_ratios=[1.3, 1])
    for unit in range(results["exact"].shape[1]):
        silent = results["fine"][results["exact"][:, unit] == 0]
        label = ("exact, 1/2 log(l / t)", "trained, 2500 steps") if unit == 0 else (None, None)
        linear.semilogx(results["fine"], results["exact"][:, unit], color=COLORS["truth"], lw=1, label=label[0])
        linear.semilogx(results["betas"], results["trained"][:, unit], "o", ms=4, color=COLORS["vae"],
                        label=label[1])
        if len(silent):
            linear.axvline(silent[0], ymax=0.12, color=ACCENT, lw=1,
                           label="exact thresholds" if unit == 1 else None)
    linear.set(xlabel="beta", ylabel="KL of each unit [nats]", title="linear VAE on 3 x 3 MRI patches, 4 units")
    linear.legend()
    places = np.arange(len(COMPONENTS))
    kl, excess, error = results["strong"].T
    strong.plot(places, kl, "o-", ms=4, color=COLORS["vae"], label="in the code: KL(q || prior)")
    strong.errorbar(places, excess, 2 * error, fmt="s--", ms=4, color=ACCENT, label="lost: -ELBO minus the entropy")
    strong.set_xticks(places, COMPONENTS)
    strong.set(xlabel="mixture components in each conditional", ylabel="nats", ylim=(-0.1, None),
               title=f"ring, autoregressive decoder, {int(results['steps'])} steps")
    strong.legend()
    return fig
