"""Generative classifiers: learn how each class looks, then ask Bayes which class it was.

    p(y = k | x) = p(x | k) p(k) / p(x),        p(x) = sum_k p(x | k) p(k)

One rule for every density: a GenerativeClassifier holds one law of x per class,
anything with log_prob(x), and the classes' shares p(k).  Since it knows the joint
p(x, y), it can also draw labeled rows and tell how probable an x is at all, which
p(y|x) cannot.  Built from the true laws, it is the truth: its posterior is the
exact one, its error the least possible, its samples are training data.

The laws can be known (laws in data/), learned by gradient (Learned puts a model
of the explicit family and its theta together), or have a closed form.  Fisher
1936: Gaussians with the sample's own moments, which maximize the likelihood,

    m_k = mean of class k,    S_k = 1/N_k sum over class k of (x - m_k) (x - m_k)^T

in four varieties.  shared: all classes have the pooled S = sum_k N_k/N S_k, and the
boundaries become planes (linear discriminant analysis).  naive: only the diagonal
of S, as if the coordinates were independent given the class (naive Bayes).  With a
shared covariance the posterior is that of a softmax regression, exactly:

    log p(k|x) = w_k^T x + b_k - log sum,   w_k = S^-1 m_k,   b_k = log p(k) - 1/2 m_k^T S^-1 m_k

so the generative and the discriminative model draw from the same set of
boundaries, and differ in what they maximize: p(x, y) or p(y|x) (Ng and Jordan 2001).
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.discriminative.labeled import join, split_classes
from scratch.kernels.stable import log_softmax, logsumexp


@dataclass(frozen=True, eq=False)
class GenerativeClassifier:
    """Bayes' rule over one law of x per class; classes are 0 ... K-1.

    laws: K objects with log_prob(x) -> (N,), and sample(n, rng) if rows are to be
    drawn.  shares: p(k), positive, of sum 1 (within 1e-6; the rounding is divided out).
    """
    laws: tuple
    shares: np.ndarray                                                            # (K,)

    def __post_init__(self):
        laws = tuple(self.laws)
        shares = checks.finite(np.array(self.shares, float), "shares")
        if len(laws) < 2 or not all(hasattr(law, "log_prob") for law in laws):
            raise TypeError(f"laws must be at least 2 objects with log_prob(x), got {laws!r}")
        if shares.shape != (len(laws),):
            raise ValueError(f"shares must have shape ({len(laws)},), one for each law, got {shares.shape}")
        if not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
            raise ValueError(f"shares must be positive and sum to 1, got {shares.tolist()}")
        object.__setattr__(self, "laws", laws)
        object.__setattr__(self, "shares", shares / shares.sum())

    def log_joint(self, x):
        """log p(x, k) for every class, (N, K)."""
        x = checks.rows(x)
        return np.stack([law.log_prob(x) for law in self.laws], axis=1) + np.log(self.shares)

    def log_posterior(self, x):
        """log p(k|x) for every class, (N, K)."""
        joint = self.log_joint(x)
        nowhere = (joint == -np.inf).all(axis=1)
        if nowhere.any():
            raise ValueError(f"no class has mass at {nowhere.sum()} of {len(joint)} rows of x: "
                             "their posterior is 0/0")
        return log_softmax(joint)[0]

    def log_density(self, x):
        """log p(x), whatever the class, (N,)."""
        return logsumexp(self.log_joint(x))[0]

    def log_prob(self, rows):
        """log p(x, y) of labeled rows, (N,): a density in x times a probability of y."""
        x, y = split_classes(rows, np.shape(rows)[-1] - 1, len(self.laws))
        return self.log_joint(x)[np.arange(len(y)), y]

    def predict(self, x):
        """The most probable class, (N,)."""
        return np.argmax(self.log_joint(x), axis=1)

    def sample(self, n, rng):
        """n labeled rows (n, D + 1): a class each, then its x."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        y = rng.choice(len(self.laws), size=n, p=self.shares)
        drawn = {k: self.laws[k].sample(int(np.sum(y == k)), rng) for k in np.unique(y)}
        x = np.empty((n, next(iter(drawn.values())).shape[1]))
        for k, rows in drawn.items():
            x[y == k] = rows
        return join(x, y)


@dataclass(frozen=True, eq=False)
class Learned:
    """A model and its theta as a law: log_prob(x) and sample(n, rng)."""
    model: object
    theta: np.ndarray

    def log_prob(self, x):
        """log p(x) in nats, (N,)."""
        return self.model.log_prob(self.theta, x)

    def sample(self, n, rng):
        """n draws, (n, D)."""
        return self.model.sample(self.theta, n, rng)


def learn_classes(rows, classes, learn):
    """The classifier whose laws are learn(x) of each class's own rows, and whose shares are theirs.

    learn: a function from x (N_k, D) to a law, e.g. gaussian, or
    lambda x: Learned(model, fit(model, model.init(rng), x, rng, steps=1000)).
    """
    x, y, counts = _classes_of(rows, classes)
    return GenerativeClassifier(tuple(learn(x[y == k]) for k in range(classes)), counts / len(y))


def gaussian(x):
    """The Gaussian with the mean and the covariance of the rows x."""
    x = checks.rows(x).astype(float)
    return _gaussian(x.mean(axis=0), np.cov(x.T, bias=True).reshape(x.shape[1], -1))


def gaussian_discriminant(rows, classes, *, shared=False, naive=False):
    """Gaussian classes in closed form, the likelihood's maximum in each of the four varieties above."""
    x, y, counts = _classes_of(rows, classes)
    x = x.astype(float)
    means = np.stack([x[y == k].mean(axis=0) for k in range(classes)])            # (K, D)
    away = x - means[y]
    covariances = np.stack([away[y == k].T @ away[y == k] / counts[k] for k in range(classes)])
    if shared:
        covariances[:] = np.einsum("k,kij->ij", counts / len(y), covariances)
    if naive:
        covariances *= np.eye(x.shape[1])
    return GenerativeClassifier(tuple(map(_gaussian, means, covariances)), counts / len(y))


def parts_of_mixture(mixture, classes):
    """The truth when component k of a Gaussian mixture belongs to class classes[k]: a law of labeled rows."""
    classes = np.asarray(classes)
    if classes.shape != mixture.weights.shape or classes.dtype.kind != "i":
        raise ValueError(f"classes must be {len(mixture.weights)} integers, one for each component, "
                         f"got dtype {classes.dtype} of shape {classes.shape}")
    parts = [classes == k for k in range(classes.max() + 1)]
    shares = np.array([mixture.weights[part].sum() for part in parts])
    laws = tuple(GaussianMixture(mixture.means[part], mixture.covariances[part], mixture.weights[part] / share)
                 for part, share in zip(parts, shares))
    return GenerativeClassifier(laws, shares)


def _classes_of(rows, classes):
    """x, y and the number of rows of each class, none of them 0."""
    classes = checks.size(classes, "classes", minimum=2)
    if np.ndim(rows) != 2 or np.shape(rows)[1] < 2:
        raise ValueError(f"rows must have shape (n, dim + 1), the class in the last column, got {np.shape(rows)}")
    x, y = split_classes(rows, np.shape(rows)[1] - 1, classes)
    counts = np.bincount(y, minlength=classes)
    if not counts.all():
        raise ValueError(f"every class needs rows to learn from, got {counts.tolist()}")
    return x, y, counts


def _gaussian(mean, covariance):
    try:
        return GaussianMixture(mean[None], covariance[None], [1.0])
    except ValueError as error:
        raise ValueError(f"the Gaussian of a class is degenerate (too few rows, or a constant coordinate): "
                         f"{error}") from None
