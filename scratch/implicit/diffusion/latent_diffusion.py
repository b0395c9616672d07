"""Latent diffusion: a diffusion model of an autoencoder's latents under a prompt, as in Stable Diffusion.

Two stages.  A variational autoencoder is trained first, and gives each picture x a distribution of
latents, q(z | x) = N(m, diag std^2).  Its parameters are then fixed.  A diffusion model (denoiser.py) learns
p(z | prompt), and the decoder turns its z into pictures.  This file is the second stage.  A row of its
data holds m, std and the words of a prompt.

Model.   The prompt's words have a code c (text.py), which is the context of the denoiser's network:
    c    = text(words)                                                                         (1)
    zhat = E[z0 | z0 + sigma eps = z, words] = denoiser(z, sigma, c)                           (2)

In training the whole prompt of some rows, chosen at random, is withheld: then c = 0, and (2) is
E[z0 | z].  Both are needed for guidance (guidance.py, eq. 3), whose scale 1 is p(z | prompt).
    D = zhat_negative + scale (zhat_prompt - zhat_negative)                                    (3)

Usually the negative prompt is the empty one.  If it has words, the picture has less of what they name.

Loss.    z0 = m + std fresh,    fresh ~ N(0, I) drawn anew in each step                        (4)
         loss = the mean square of denoiser.py at z0, sigma, eps

Gradient.  The denoiser's pullback (vector-Jacobian product) gives dnetwork and dc, and that of (1)
turns dc into dtext.  m, std and the words are data and have no gradient.

The scale of latents.  sigma_data is their standard deviation, measured by latent_std.  Stable Diffusion
multiplies its latents by 0.18215 for the same purpose: that is 1 / 5.49, one over the standard deviation
of the latents of its first batch of pictures, so that the diffusion sees data of standard deviation 1.

Source: Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models", sections 3.1
to 3.3 and appendix G; Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", algorithms 1 and 2.
Checked in tests/implicit/diffusion/test_latent_diffusion.py::test_the_loss_is_the_naive_loop
Checked in tests/implicit/diffusion/test_latent_diffusion.py::test_gradient_through_text_context_and_denoiser
Symbols: N batch, L latent coordinates (= dim), T places of a prompt, V words, W width of c, P parameters.
"""
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.guidance import classifier_free_guidance
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.implicit.diffusion.text import TextEncoder
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

WITHHELD = 0.15                          # of the prompts; by hand: Ho and Salimans find 0.1 and 0.2 better than 0.5
LOWEST, HIGHEST = 0.01, 20.0             # noise levels of sampling in units of sigma_data; by hand


def latent_std(rows, dim):
    """sigma_data for rows [m, std, ...] (n, 2 dim or more): the standard deviation of z0 in (4), all coordinates."""
    rows = checks.rows(rows, name="rows")
    mean, std = rows[:, :dim], rows[:, dim:2 * dim]
    return float(np.sqrt(np.mean(mean.var(axis=0) + np.mean(std * std, axis=0))))


@dataclass(frozen=True)
class LatentDiffusion:
    """Trains on rows [m_1 ... m_L, std_1 ... std_L, word_1 ... word_T], (N, 2 L + T); words as in text.py.

    tokens: prompts (n, T), one for each row, or (T,), one for all; None is the empty prompt.

    >>> model, z = LatentDiffusion(2, words=3), np.ones((4, 2))
    >>> theta = model.init(np.random.default_rng(0))
    >>> empty = model.context(theta, np.zeros(6, int), 4)
    >>> bool((model.denoise(theta, z, 0.5, empty) == model.denoise(theta, z, 0.5)).all())
    True
    """
    dim: int
    _: KW_ONLY
    words: int = 15
    length: int = 6
    width: int = 32
    attention: bool = True
    hidden: tuple = (384, 384, 384)
    sigma_data: float = 1.0

    recipe = Recipe(Adam(4e-3, beta2=0.99), batch_size=512)     # by hand, not swept

    def __post_init__(self):
        text = TextEncoder(self.words, width=self.width, length=self.length, attention=self.attention)
        denoiser = Diffusion(self.dim, hidden=self.hidden, sigma_data=self.sigma_data, context_dim=text.width,
                             frequencies=())                # no sines of z: with them held-out pairs came out worse
        for part, names in ((text, ("words", "length", "width")), (denoiser, ("dim", "hidden", "sigma_data"))):
            for name in names:
                object.__setattr__(self, name, getattr(part, name))             # as checked there
        object.__setattr__(self, "text", text), object.__setattr__(self, "denoiser", denoiser)

    @cached_property
    def size(self):
        """P, the length of theta."""
        return self.denoiser.size + self.text.size

    @property
    def blocks(self):
        """Where each array stands in theta = [network, text]: {name: slice}."""
        start = self.denoiser.size
        return self.denoiser.blocks | {f"text {name}": slice(start + place.start, start + place.stop)
                                       for name, place in self.text.blocks.items()}

    def split(self, theta):
        """The parameters of network and text: views of theta (P,)."""
        return np.split(checks.flat(theta, self.size), [self.denoiser.size])

    def init(self, rng, dtype=np.float32):
        """Random theta (P,)."""
        return np.concatenate([self.denoiser.init(rng, dtype), self.text.init(rng, dtype)])

    def draw_noise(self, rng, n):
        """The denoiser's eps (n, L) and sigma (n,), withheld (n,), True where no prompt is given, and fresh (n, L)."""
        eps, sigma = self.denoiser.draw_noise(rng, n)
        return eps, sigma, rng.random(n) < WITHHELD, rng.standard_normal(eps.shape)

    def loss(self, theta, rows, noise):
        """The denoiser's loss of z0 under its prompt, and its gradient (P,)."""
        (network, text), rows = self.split(theta), checks.rows(rows, 2 * self.dim + self.length, "rows")
        mean, std, tokens = np.split(rows, [self.dim, 2 * self.dim], axis=1)
        eps, sigma, withheld, fresh = checks.noise(noise, mean, eps=mean.shape, sigma=(len(rows),),
                                                   withheld=(len(rows),), fresh=mean.shape)
        z = mean + std * fresh                                                    # (N, L)  (4)
        c, pull_text = self.text(text, np.where(withheld[:, None], 0, tokens.real))             # (N, W)  (1)
        loss, gradient = self.denoiser.denoising_loss(network, z, (eps, sigma), c)              # (2)
        dnetwork, dc = gradient()                                                 # d(2)
        return loss, np.concatenate([dnetwork, pull_text(dc)])                    # d(1)

    def context(self, theta, tokens, n):
        """c (n, W) of prompts (n, T) or of one for all (T,), and None for None."""
        if tokens is None:
            return None
        return np.broadcast_to(self.text(self.split(theta)[1], np.atleast_2d(tokens))[0], (n, self.width))      # (1)

    def denoise(self, theta, z, sigma, context=None):
        """E[z0 | z, context] as learned, (N, L); sigma > 0 is one number, or one for each row."""
        return self.denoiser.denoise(self.split(theta)[0], z, sigma, context)     # (2)

    def guided(self, theta, context, *, scale=1.0, negative=None):
        """D(z, sigma) of (3) for samplers and for editing.py; context and negative (n, W), or None."""
        return classifier_free_guidance(*(lambda z, sigma, c=c: self.denoise(theta, z, sigma, c)
                                          for c in (context, negative)), scale=scale)           # (3)

    def sample(self, theta, n, rng, *, tokens=None, scale=1.0, steps=18):
        """n latents (n, L): noise, carried down the ODE of (3) by Heun's method."""
        n, theta = checks.size(n, "n"), checks.flat(theta, self.size)
        start = np.hypot(HIGHEST, 1) * self.sigma_data * checks.generator(rng).standard_normal((n, self.dim))
        levels = karras_sigmas(steps, LOWEST, HIGHEST) * self.sigma_data
        return heun(self.guided(theta, self.context(theta, tokens, n), scale=scale), start.astype(theta.dtype), levels)

    def log_prob(self, theta, x, *, tokens=None, steps=32):
        """log p(z | prompt) of latents x (N, L), in nats, (N,).

        Along the ODE between the noise levels of denoiser.py, which are wider than those of sample.
        """
        x = checks.rows(x, self.dim)
        return self.denoiser.log_prob(self.split(theta)[0], x, context=self.context(theta, tokens, len(x)), steps=steps)
