"""Ng and Jordan (2001): naive Bayes against logistic regression, error against the number of rows."""
import numpy as np
from scipy.special import ndtr

from figures.style import COLORS, DARK_ORANGE, figure
from scratch.data.distributions import GaussianMixture
from scratch.discriminative.generative_classifier import GenerativeClassifier, gaussian_discriminant
from scratch.discriminative.logistic_regression import LogisticRegression

SECTION = "1.4"
FINDING = "Naive Bayes needs fewer rows, as long as its assumption nearly holds"
SETTINGS = ("Ng and Jordan (2001). Two Gaussian classes in 20 dimensions, exact errors. Dots: mean of 100 draws, bars 1 s.e. Dotted: "
            "with infinitely many rows (black: the Bayes rule). Gray: where the curves cross, 95 %.")

DIM = 20
CORRELATIONS = (0.0, 0.2, 0.9)             # of any two coordinates within a class; naive Bayes takes it for 0
TITLES = ("a) the assumption holds", "b) correlation 0.2", "c) correlation 0.9")


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
    return dict(seeds=draws, sizes=sizes, errors=errors, limits=limits)


def crossing(sizes, errors):
    """Where the mean paired difference changes its sign for good: (low, middle, high) rows, by its 95 % interval."""
    gain = errors[..., 0] - errors[..., 1]                  # (sizes, draws), > 0 where logistic regression is ahead
    mean, half = gain.mean(axis=1), 1.96 * gain.std(axis=1, ddof=1) / np.sqrt(gain.shape[1])
    if not mean[0] + half[0] < 0 < mean[-1] - half[-1]:
        return None
    return [np.exp(np.interp(0, np.maximum.accumulate(curve), np.log(sizes)))
            for curve in (mean + half, mean, mean - half)]


def gains(results):
    """Error of naive Bayes minus that of logistic regression: mean and standard error, (laws, sizes) each."""
    gain = results["errors"][..., 0] - results["errors"][..., 1]
    return gain.mean(axis=2), gain.std(axis=2, ddof=1) / np.sqrt(gain.shape[2])


def claim(results):
    """Where the curves cross in the middle case."""
    low, middle, high = crossing(results["sizes"], results["errors"][1]) or [np.nan] * 3
    mean, error = gains(results)
    most = int(mean[0].argmin())
    return (f"Independent: naive Bayes leads by {-100 * mean[0, most]:.1f} +- {100 * error[0, most]:.1f} points at {results['sizes'][most]} rows; "
            f"correlation {CORRELATIONS[1]}: overtaken at {middle:.0f} rows ({low:.0f} to {high:.0f}).")


def checks(results):
    """The three shapes of the curves."""
    mean, error = gains(results)
    return {"independent: naive Bayes is never behind": bool((mean[0] < 2 * error[0]).all()),
            "independent: naive Bayes is ahead somewhere": bool((mean[0] < -5 * error[0]).any()),
            "a little dependent: the curves cross": crossing(results["sizes"], results["errors"][1]) is not None,
            "badly dependent: naive Bayes is never ahead": bool((mean[2] > -2 * error[2]).all()),
            "badly dependent: it ends far behind": bool(mean[2, -1] > 0.1)}


def draw(results):
    """A panel per distribution: mean errors and their limits."""
    sizes, draws = results["sizes"], results["errors"].shape[2]
    fig = figure(3.5, FINDING, SETTINGS)
    panels = fig.subplots(1, 3, sharey=True)
    looks = ((COLORS["vae"], "naive Bayes (generative)"), (COLORS["discriminative"], "logistic regression"))
    for ax, errors, limits, title in zip(panels, results["errors"], results["limits"], TITLES):
        for model, (color, _) in enumerate(looks):
            mean, error = errors[..., model].mean(axis=1), errors[..., model].std(axis=1, ddof=1) / np.sqrt(draws)
            ax.errorbar(sizes, mean, error, fmt="o-", ms=3, color=color)
            ax.axhline(limits[model], ls=":", color=color, zorder=0)
        ax.axhline(limits[1], ls=":", color=COLORS["truth"], lw=1, zorder=0)
        found = crossing(sizes, errors)
        if found is not None:
            ax.axvspan(found[0], found[2], color="0.9", lw=0, zorder=-1)
        ax.set(title=title, xlabel="rows", ylim=(0, 0.5), xscale="log")
    panels[0].set_ylabel("error")
    panels[2].text(40, 0.385, looks[0][1], color=looks[0][0])
    panels[2].text(40, 0.14, looks[1][1], color=DARK_ORANGE)
    return fig
