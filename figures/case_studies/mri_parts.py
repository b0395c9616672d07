"""What the MRI figures share: the two classes, ways to enlarge scarce data, generators, a classifier's error."""
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import logsumexp

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.data.real import MRI_CENTER, MRI_SCALE, mri_patches
from scratch.data.tissue import NOISE, SIDE, tissue_laws, turns
from scratch.discriminative.generative_classifier import Learned
from scratch.discriminative.neural_network import Classifier
from scratch.explicit.linear_vae import LinearVAE
from scratch.explicit.mixture_em import MixtureEM
from scratch.explicit.vae import VAE
from scratch.implicit.diffusion.correlated import CorrelatedDiffusion
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

DIM = SIDE ** 2
DARKEST = (6 - MRI_CENTER) / MRI_SCALE       # a pixel below gray level 6 is air, bone or fluid; by hand
LATENT = 20                                  # of probabilistic PCA, or half of its rows if that is less; by hand
NEIGHBORS = 5                                # of SMOTE, as in its paper
# The jitter by hand shifts all pixels of a patch together, and adds noise to each with the scanner's own std, NOISE:
# in the known distribution that is knowledge of the truth.
BRIGHTNESS = 0.7                             # std of the shift; by hand
RECIPE = Recipe(Adam(1e-2, beta2=0.99), batch_size=128)
HIDDEN, STEPS = (64, 64), 400                # of the classifier; by hand


# ---- the known distribution, and the real slice ----

def tissue_patches(rng):
    """Training windows of the slice and windows of its held-out blocks, none with a pixel below DARKEST."""
    return [part[part.min(axis=1) >= DARKEST] for part in mri_patches(SIDE, rng, stride=1)]


@lru_cache
def laws(effort):
    """p_0 and p_1 of data/tissue.py around a mixture of 4 Gaussians, by EM on all windows of the slice."""
    rng = np.random.default_rng(1)
    rows, model = np.concatenate(tissue_patches(rng)), MixtureEM(4, DIM)
    rows, steps = (rows[::20], 1) if effort == "quick" else (rows, 40)
    theta = model.start(rows, rng, whiten=False)
    for _ in range(steps):
        theta, _ = model.em_step(theta, rows)
    return tissue_laws(model.law(theta))


def labeled(healthy, lesion):
    """Rows [x, class] of both classes."""
    return np.concatenate([np.column_stack([x, np.full(len(x), c)]) for c, x in enumerate((healthy, lesion))])


# ---- what a classifier is trained on: real rows, changed at random, and synthetic ones ----

@dataclass(frozen=True, eq=False)
class Batches:
    """Batches of labeled rows: a `share` of them synthetic, the rest real, turned and changed if asked."""
    real: np.ndarray
    synthetic: np.ndarray = None
    share: float = 0.0
    turned: bool = False
    jittered: bool = False

    def sample(self, n, rng):
        """n rows (n, D + 1); both classes are equally likely because their rows are equally many."""
        m = round(self.share * n)
        rows = self.real[rng.integers(len(self.real), size=n - m)]
        if self.turned:
            x = np.take_along_axis(rows[:, :-1], ORDER[rng.integers(8, size=len(rows))], axis=1)
            rows = np.column_stack([x, rows[:, -1]])
        if self.jittered:
            rows[:, :-1] += BRIGHTNESS * rng.standard_normal((len(rows), 1))
            rows[:, :-1] += NOISE * rng.standard_normal((len(rows), DIM))
        return rows if m == 0 else np.concatenate([rows, self.synthetic[rng.integers(len(self.synthetic), size=m)]])


ORDER = turns(np.arange(DIM, dtype=float)[None])[:, 0].astype(int)      # the eight turns as orders of the pixels


def all_turns(x):
    """x and its other seven copies, (8 N, D)."""
    return turns(x).reshape(-1, DIM)


def smote(x, n, rng):
    """n rows between a row and one of its neighbors (Chawla et al. 2002, "SMOTE")."""
    _, near = cKDTree(x).query(x, min(NEIGHBORS + 1, len(x)))
    i, u = rng.integers(len(x), size=n), rng.random((n, 1))
    j = near[i, rng.integers(1, near.shape[1], size=n)]
    return x[i] + u * (x[j] - x[i])


# ---- generators: a law for each class, from rows (x_0, x_1) ----

def pca(x):
    """Probabilistic PCA of one class, a GaussianMixture of one component."""
    model = LinearVAE(DIM, latent=min(LATENT, len(x) // 2))
    return model.law(model.optimum(x))


def pca_pair(classes):
    """Probabilistic PCA with a mean for each class and one covariance for both, which scarce rows need: two laws."""
    means = [x.mean(axis=0) for x in classes]
    S = pca(np.concatenate([x - mean for x, mean in zip(classes, means)])).covariances
    return [GaussianMixture(mean[None], S, [1.0]) for mean in means]


@dataclass(frozen=True, eq=False)
class ShrunkMixture:
    """A Gaussian around every row, all shrunk to the mean so that the mean is that of `gaussian`,
    and the covariance too if the rows have it.

    x = m + sqrt(1 - h^2) (row - m) + h eps, eps ~ N(0, S), h = (4 / (N (D + 2)))^(1 / (D + 4)), which is best
    for Gaussian rows (Silverman 1986, "Density Estimation for Statistics and Data Analysis", 4.3.2 and 6.4.1).
    """
    rows: np.ndarray
    gaussian: GaussianMixture

    h = property(lambda self: (4 / (len(self.rows) * (DIM + 2))) ** (1 / (DIM + 4)))

    def sample(self, n, rng):
        """n rows (n, D)."""
        centers, m = self.centers(), self.gaussian.means
        return centers[rng.integers(len(centers), size=n)] + self.h * (self.gaussian.sample(n, rng) - m)

    def centers(self):
        """The means of the Gaussians, (N, D)."""
        return self.gaussian.means + np.sqrt(1 - self.h ** 2) * (self.rows - self.gaussian.means)

    def log_prob(self, x):
        """log p(x), (N,) nats."""
        factor = self.h * np.linalg.cholesky(self.gaussian.covariances[0])
        z, c = (np.linalg.solve(factor, part.T).T for part in (x, self.centers()))
        square = np.sum(z * z, axis=1)[:, None] - 2 * z @ c.T + np.sum(c * c, axis=1)
        constant = np.log(np.diag(factor)).sum() + DIM / 2 * np.log(2 * np.pi) + np.log(len(c))
        return logsumexp(-0.5 * square, axis=1) - constant


def mixture_pair(classes):
    """A ShrunkMixture for each class around those of pca_pair."""
    return [ShrunkMixture(x, law) for x, law in zip(classes, pca_pair(classes))]


@dataclass(frozen=True, eq=False)
class DiffusionLaw:
    """One class of a CorrelatedDiffusion, in pixels: x = m + z U^T."""
    model: CorrelatedDiffusion
    theta: np.ndarray
    axes: np.ndarray                                        # U (D, D)
    mean: np.ndarray                                        # m (D,)
    label: int

    def sample(self, n, rng):
        """n rows (n, D)."""
        return self.mean + self.model.sample(self.theta, n, rng, label=self.label, steps=18) @ self.axes.T

    def log_prob(self, x):
        """log p(x), (N,) nats."""
        return self.model.log_prob(self.theta, (x - self.mean) @ self.axes, label=self.label, steps=12)


def diffusion(classes, rng, steps, apart=True):
    """The two laws of one CorrelatedDiffusion around the pooled covariance; apart: each class has its own mean."""
    means = [x.mean(axis=0) if apart else np.mean([x.mean(axis=0) for x in classes], axis=0) for x in classes]
    away = [x - mean for x, mean in zip(classes, means)]
    values, axes = np.linalg.eigh(pca(np.concatenate(away)).covariances[0])
    model = CorrelatedDiffusion(DIM, hidden=(128, 128), stds=tuple(np.sqrt(values)))
    rows = labeled(*(part @ axes for part in away))
    theta = fit(model, model.init(rng), Batches(rows.astype(np.float32)), rng, steps=steps,
                recipe=Recipe(Adam(3e-3, beta2=0.99), batch_size=256))
    return [DiffusionLaw(model, theta, axes, mean, c) for c, mean in enumerate(means)]


def diffusion_steps(n):
    """Training steps for n rows a class: fewer rows are sooner learned by heart; by hand."""
    return int(np.clip(1.5 * n, 150, 1500))


# By hand, for its cost.  For 100 rows a class s is 0.20 to 0.26 then (12 trainings), and 0.16 after 2,000 steps (4); the
# scanner's is 0.15.  So the VAE is not at its best.
VAE_STEPS = 600


def vae(x, rng, steps):
    """A VAE of one class."""
    model = VAE(DIM, latent=16, hidden=(128,), prior=1)
    rows = (x - x.mean(axis=0)).astype(np.float32)
    return Shifted(Learned(model, fit(model, model.init(rng), Batches(rows), rng, steps=steps, recipe=RECIPE)), x.mean(axis=0))


@dataclass(frozen=True, eq=False)
class Shifted:
    """A law around a mean."""
    law: object
    mean: np.ndarray

    def sample(self, n, rng):
        """n rows (n, D)."""
        return self.mean + self.law.sample(n, rng)


# ---- a classifier and its error ----

def classify(batches, penalty, test, rng, steps=STEPS):
    """A network trained on batches: nats and area under the ROC on labeled test rows (n, D + 1)."""
    model = Classifier(DIM, hidden=HIDDEN, penalty=penalty)
    theta = fit(model, model.init(rng), batches, rng, steps=steps, recipe=RECIPE)
    return score(model.log_posterior(theta, test[:, :-1]), test[:, -1])


def score(log_posterior, y):
    """Nats, and the area under the ROC of the log odds, for classes y (n,)."""
    log_p, positive = np.asarray(log_posterior, float), y == 1
    ranks = np.argsort(np.argsort(log_p[:, 1] - log_p[:, 0]))[positive] + 1
    n, m = positive.sum(), (~positive).sum()
    return -log_p[np.arange(len(y)), y.astype(int)].mean(), (ranks.mean() - (n + 1) / 2) / m
