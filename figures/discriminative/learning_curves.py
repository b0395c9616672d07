"""Ng and Jordan (2001): naive Bayes against logistic regression, error against the number of rows."""
import numpy as np
from scipy.special import ndtr

from figures.style import COLORS, figure
from scratch.data.distributions import GaussianMixture
from scratch.discriminative.generative_classifier import GenerativeClassifier, gaussian_discriminant
from scratch.discriminative.logistic_regression import LogisticRegression

CLAIM = ("Where its one assumption holds, naive Bayes needs fewer rows than logistic regression and is never "
         "overtaken; where it fails a little the curves cross, and where it fails badly naive Bayes is never ahead.")

DIM = 20
CORRELATIONS = (0.0, 0.2, 0.9)             # of any two coordinates within a class; naive Bayes takes it for 0
TITLES = ("the assumption holds: independent", "it fails a little: correlation 0.2", "it fails badly: correlation 0.9")


def classes(correlation):
    """Two equally frequent Gaussian classes with one covariance, and means +m and -m along unequal coordinates."""
    mean = np.linspace(0.2, 1.0, DIM)
    mean *= 1.3 / np.linalg.norm(mean)
    covariance = (1 - correlation) * np.eye(DIM) + correlation
    laws = [GaussianMixture([sign * mean], [covariance], [1.0]) for sign in (-1, 1)]
    return mean, covariance, GenerativeClassifier(laws, [0.5, 0.5])


def plane_error(w, b, mean, covariance):
    """The exact error of the rule w^T x + b > 0: no test rows, no luck."""
    spread = np.sqrt(w @ covariance @ w)
    return 0.5 * (ndtr(-(w @ mean + b) / spread) + ndtr(-(w @ mean - b) / spread))


def naive_bayes_plane(rows):
    """w, b of naive Bayes with variances shared by the classes: of the same form as logistic regression."""
    learned = gaussian_discriminant(rows, 2, shared=True, naive=True)
    low, high = (law.means[0] for law in learned.laws)
    w = (high - low) / np.diag(learned.laws[0].covariances[0])
    return w, np.log(learned.shares[1] / learned.shares[0]) - 0.5 * w @ (high + low)


def logistic_plane(rows):
    """w, b of logistic regression with a standard normal prior on w: a penalty of 1 / N."""
    theta = LogisticRegression(DIM, penalty=1 / len(rows)).fit(rows)
    return theta[:-1], theta[-1]


def compute(effort, rng):
    """errors (laws, sizes, draws, 2 models) on the same rows, and for each law the two errors at infinity."""
    sizes, draws = ((12, 100), 3) if effort == "quick" else ((10, 20, 40, 80, 160, 320, 640, 1280, 2560), 100)
    errors, limits = np.zeros((len(CORRELATIONS), len(sizes), draws, 2)), []
    for law, correlation in enumerate(CORRELATIONS):
        mean, covariance, truth = classes(correlation)
        limits.append([plane_error(w, 0.0, mean, covariance) for w in (mean, np.linalg.solve(covariance, mean))])
        for size, n in enumerate(sizes):
            for draw_ in range(draws):
                rows = truth.sample(n, rng)
                while min(np.bincount(rows[:, -1].astype(int), minlength=2)) < 2:       # a variance needs two rows
                    rows = truth.sample(n, rng)
                errors[law, size, draw_] = [plane_error(*learn(rows), mean, covariance)
                                            for learn in (naive_bayes_plane, logistic_plane)]
    return dict(sizes=sizes, errors=errors, limits=limits)


def crossing(sizes, errors):
    """Where the mean paired difference changes its sign for good: (low, middle, high) rows, by its 95 % interval."""
    gain = errors[..., 0] - errors[..., 1]                  # (sizes, draws), > 0 where logistic regression is ahead
    mean, half = gain.mean(axis=1), 1.96 * gain.std(axis=1, ddof=1) / np.sqrt(gain.shape[1])
    if not mean[0] + half[0] < 0 < mean[-1] - half[-1]:
        return None
    return [np.exp(np.interp(0, np.maximum.accumulate(curve), np.log(sizes)))
            for curve in (mean + half, mean, mean - half)]


def verdict(sizes, errors):
    """The outcome of one distribution's curves, in a few words."""
    found = crossing(sizes, errors)
    if found is not None:
        return "the curves cross at {1:.0f} rows ({0:.0f} to {2:.0f})".format(*found)
    gain = errors[..., 0] - errors[..., 1]
    error = gain.std(axis=1, ddof=1) / np.sqrt(gain.shape[1])
    ahead = [int(np.sum(sign * gain.mean(axis=1) > 1.96 * error)) for sign in (-1, 1)]
    name = ("naive Bayes", "logistic regression")[int(np.argmax(ahead))]
    return f"no crossing: {name} is ahead at\n{max(ahead)} of {len(sizes)} sizes, and behind at {min(ahead)}"


def draw(results):
    """A panel per distribution: mean errors with 95 % intervals, their limits, and the verdict."""
    sizes, draws = results["sizes"], results["errors"].shape[2]
    fig = figure(3.7, f"Ng and Jordan (2001): two Gaussian classes in {DIM} dimensions, exact errors, means over "
                      f"{draws} draws with 95 % intervals")
    for ax, errors, limits, title in zip(fig.subplots(1, 3), results["errors"], results["limits"], TITLES):
        for model, (color, name) in enumerate(((COLORS["baseline"], "naive Bayes (generative)"),
                                               (COLORS["discriminative"], "logistic regression"))):
            half = 1.96 * errors[..., model].std(axis=1, ddof=1) / np.sqrt(draws)
            mean = errors[..., model].mean(axis=1)
            ax.semilogx(sizes, mean, "o-", ms=3, color=color, label=name)
            ax.fill_between(sizes, mean - half, mean + half, color=color, alpha=0.3, lw=0)
            ax.axhline(limits[model], ls=":", color=color)
        ax.axhline(limits[1], ls=":", color=COLORS["truth"])
        found = crossing(sizes, errors)
        if found is not None:
            ax.axvspan(found[0], found[2], color="0.9", lw=0)
        ax.set(title=title, xlabel="rows", ylim=(0, 0.5))
        ax.text(0.97, 0.04 if found is not None else 0.57, verdict(sizes, errors), transform=ax.transAxes, ha="right",
                fontsize=8)
    ax = fig.axes[0]
    ax.set_ylabel("error")
    ax.plot([], [], ":", color="0.3", label="with infinitely many rows")
    ax.legend(loc="upper right")
    return fig
