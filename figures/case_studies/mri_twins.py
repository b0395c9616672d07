"""Why samples of a generator that was fitted to the same rows help no classifier: three cases with a formula.

(a) Rows x = y mu + noise, y = +-1, noise N(0, I).  The classifier is w = mean of y x over m rows, so its
variance is 1/m.  gamma m rows from the fitted N(y w, I) have a mean w_g ~ N(w, I / (gamma m)), and together

    w' = w + gamma/(1 + gamma) (w_g - w),     variance of w' = 1/m (1 + gamma / (1 + gamma)^2)     (1)
    synthetic alone, n rows:                  variance of w_g = 1/m (1 + m/n)                      (2)

(b) The excess of a classifier is its nats on new rows less those of the Bayes rule.  A model of P parameters
that is fitted to n rows has an excess of P / (2 n) on average, up to terms in 1 / n^2.  LDA's own rule is linear, and
logistic regression on M synthetic rows of each class from a fitted LDA has P = D + 1 parameters to find it.  Its
error is independent of LDA's, so that the two add up:

    excess(M) = excess(LDA) + (D + 1) / (4 M)     nats, to first order                             (3)

On real rows logistic regression needs 1 / efficiency times as many rows as LDA for the same excess error (Efron
1975, "The Efficiency of Logistic Regression Compared to Normal Discriminant Analysis").  With many rows and many
coordinates, and the two means d standard deviations apart,

    efficiency = (1 + d^2/4) / sqrt(2 pi) exp(-d^2/8) int exp(-x^2/2) / cosh(d x / 2) dx           (4)

(c) KL(p(x, y) || q) = KL(p(x) || q) + E KL(p(y | x) || q).  Only the second part is an error of the generator's Bayes
rule.
"""
import numpy as np
from scipy.special import ndtr

from figures.case_studies import mri_parts as mri
from figures.case_studies.mri_augmentation import divergences, draws_of
from figures.style import ACCENT, COLORS, DARK_ORANGE, figure
from scratch.discriminative.generative_classifier import GenerativeClassifier, gaussian_discriminant
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.grid import midpoints
from scratch.kernels.stable import sigmoid, softplus

SECTION = "case"
FINDING = "Samples of a fitted model add variance; what helps is its assumption"
SETTINGS = ("Mean: 8 rows, 200,000 repeats. Logistic regression: two Gaussians in 5 dimensions at distance 2, LDA of 1,000 real "
            "rows a class, 60 repeats. Efficiency: 10 dimensions, 2,000 rows a class, 300 repeats. Patches: probabilistic PCA "
            "of 1,000 rows a class and their turns, network on 2,000 synthetic rows a class, 5 repeats. Bars: 1 s.e.")

GAMMAS = (0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
ROWS = (1000, 3000, 10_000)                  # M
REAL, DIM, DISTANCE = 1000, 5, 2.0           # of (b)
DISTANCES, EFFICIENCY_DIM, EFFICIENCY_ROWS = (2.0, 3.0), 10, 2000


def compute(effort, rng):
    """(a), (b), Efron's efficiency, and (c)."""
    quick = effort == "quick"
    gain, alone = variances(200 if quick else 200_000, rng)
    excess, rms = np.stack([converge(ROWS[:2] if quick else ROWS, rng) for _ in range(2 if quick else 60)]).swapaxes(0, 1)
    ratio = np.stack([[errors(d, rng) for _ in range(2 if quick else 300)] for d in DISTANCES])
    parts = [[conditional_part(apart, effort, rng) for apart in (False, True)] for _ in range(2 if quick else 5)]
    return dict(seeds=len(parts), gain=gain, alone=alone, excess=excess, rms=rms, errors=ratio, parts=np.array(parts))


def variances(repeats, rng, m=8):
    """m times the variance of w' (1) for each gamma, and of w_g (2) for n = gamma m, with standard errors: (2, G) each."""
    together, alone = [], []
    for gamma in GAMMAS:
        n = round(gamma * m)
        w = (1.0 + rng.standard_normal((repeats, m))).mean(axis=1)                # y x, with mu = 1 on every axis
        w_g = (w[:, None] + rng.standard_normal((repeats, n))).mean(axis=1)
        for kept, value in ((together, (m * w + n * w_g) / (m + n)), (alone, w_g)):
            square = m * (value - 1.0) ** 2
            kept.append((square.mean(), square.std(ddof=1) / np.sqrt(repeats)))
    return np.transpose(together), np.transpose(alone)


def two_gaussians(distance, dim, n, rng):
    """n labeled rows of each of two N(+-d/2 e_1, I)."""
    x = rng.standard_normal((2 * n, dim))
    x[:, 0] += distance * (np.repeat([0.0, 1.0], n) - 0.5)
    return np.column_stack([x, np.repeat([0.0, 1.0], n)])


def plane(lda):
    """w and b of the logit of an LDA with equal covariances (4 of generative_classifier.py)."""
    S, means = lda.laws[0].covariances[0], np.stack([law.means[0] for law in lda.laws])
    w = np.linalg.solve(S, means[1] - means[0])
    return w, -w @ means.mean(axis=0) + np.log(lda.shares[1] / lda.shares[0])


def converge(rows, rng):
    """Excess nats of LDA and of logistic regression on M rows from it, and its rms distance to LDA's logit: (2, 1 + M's)."""
    lda = gaussian_discriminant(two_gaussians(DISTANCE, DIM, REAL, rng), 2, shared=True)
    x = two_gaussians(DISTANCE, DIM, 10_000, rng)[:, :-1]
    true = DISTANCE * x[:, 0]
    w, b = plane(lda)
    logits = [x @ w + b]
    for M in rows:
        theta = LogisticRegression(DIM).fit(draws_of(lda.laws, M, rng))
        logits.append(x @ theta[:-1] + theta[-1])
    p = sigmoid(true)[0]
    excess = [np.mean(p * (softplus(-a)[0] - softplus(-true)[0]) + (1 - p) * (softplus(a)[0] - softplus(true)[0]))
              for a in logits]
    return np.array([excess, [np.sqrt(np.mean((a - logits[0]) ** 2)) for a in logits]])


def errors(distance, rng):
    """Excess error rates of LDA and of logistic regression on the same real rows, exactly."""
    rows = two_gaussians(distance, EFFICIENCY_DIM, EFFICIENCY_ROWS, rng)
    theta = LogisticRegression(EFFICIENCY_DIM).fit(rows)
    rules = plane(gaussian_discriminant(rows, 2, shared=True)), (theta[:-1], theta[-1])
    rate = [np.mean([ndtr((s * b - distance / 2 * w[0]) / np.linalg.norm(w)) for s in (1, -1)]) for w, b in rules]
    return np.array(rate) - ndtr(-distance / 2)


def efficiency(distance):
    """(4), by the midpoint rule."""
    (x, cell) = midpoints([(-12, 12)], 4000)
    integral = cell * np.sum(np.exp(-0.5 * x[:, 0] ** 2) / np.cosh(distance * x[:, 0] / 2))
    return (1 + distance ** 2 / 4) / np.sqrt(2 * np.pi) * np.exp(-distance ** 2 / 8) * integral     # (4)


def conditional_part(apart, effort, rng):
    """KL of p(x, y), E KL(p(y | x)), and nats of a network on synthetic rows alone; apart: a mean for each class."""
    n, test, steps = (10, 20, 2) if effort == "quick" else (1000, 2000, mri.STEPS)
    truth = GenerativeClassifier(tuple(mri.laws(effort)), [0.5, 0.5])
    copies = [mri.all_turns(law.sample(n, rng)) for law in truth.laws]
    if not apart:
        middle = np.mean([x.mean(axis=0) for x in copies], axis=0)
        copies = [np.concatenate([x, 2 * middle - x]) for x in copies]            # as many on the other side
    laws, x = [mri.pca(x) for x in copies], draws_of(truth.laws, test, rng)
    joint, _, given = divergences(truth, laws, x)
    nats, _ = mri.classify(mri.Batches(draws_of(laws, test, rng), draws_of(laws, 2, rng)), 1e-3, x, rng, steps)
    return joint, given, nats


# ---- what the results say ----

def slope(results):
    """The exponent of M in the rms distance between the logits."""
    rms = np.sqrt((results["rms"][:, 1:] ** 2).mean(axis=0))
    return float(np.polyfit(np.log(ROWS[:len(rms)]), np.log(rms), 1)[0])


def added(results):
    """Excess of logistic regression on synthetic rows over LDA's: mean and standard error for each M."""
    more = results["excess"][:, 1:] - results["excess"][:, :1]
    return more.mean(axis=0), more.std(axis=0, ddof=1) / np.sqrt(len(more))


def measured_efficiency(results):
    """LDA's mean excess error over logistic regression's, and its standard error, for each distance."""
    lda, logistic = np.moveaxis(results["errors"], 2, 0)
    ratio = lda.mean(axis=1) / logistic.mean(axis=1)
    away = (lda - ratio[:, None] * logistic) / logistic.mean(axis=1)[:, None]
    return ratio, away.std(axis=1, ddof=1) / np.sqrt(away.shape[1])


def worst(results):
    """The largest distance of the simulated variances from (1) and (2), in standard errors."""
    g = np.array(GAMMAS)
    gain, alone = results["gain"], results["alone"]
    return float(max(np.abs((gain[0] - 1 - g / (1 + g) ** 2) / gain[1]).max(), np.abs((alone[0] - 1 - 1 / g) / alone[1]).max()))


def claim(results):
    factor = results["gain"][0][GAMMAS.index(1)]
    (_, _, one_nats), (_, _, apart_nats) = results["parts"].mean(axis=0)
    return (f"As many synthetic rows as real ones multiply the variance by {factor:.2f}; two generators of like KL "
            f"train classifiers of {one_nats:.2f} and {apart_nats:.2f} nats.")


def checks(results):
    mean, error = added(results)
    ratio, ratio_error = measured_efficiency(results)
    (joint, given, nats), (joint_apart, given_apart, nats_apart) = results["parts"].transpose(1, 2, 0)      # of repeats
    return {
        "variances on their formulas within 2 standard errors": bool(worst(results) < 2),
        "logits converge as M^-1/2": bool(abs(slope(results) + 0.5) < 0.1),
        "excess(M) on its formula within 2 standard errors":
            bool((np.abs(mean - (DIM + 1) / (4 * np.array(ROWS[:len(mean)]))) < 2 * error).all()),
        "Efron's efficiency within 2 standard errors":
            bool((np.abs(ratio - [efficiency(d) for d in DISTANCES]) < 2 * ratio_error).all()),
        "one mean: KL less than 1.3 times in every repeat, conditional part more than twice on average":
            bool((joint < 1.3 * joint_apart).all() and given.mean() > 2 * given_apart.mean()),
        "one mean: more than twice the nats, in every repeat": bool((nats > 2 * nats_apart).all()),
    }


def draw(results):
    """Variance against gamma, excess against M, Efron's efficiency, and two generators' KL beside their use."""
    fig = figure(5.6, FINDING, SETTINGS)
    (a, b), (d, c) = fig.subplots(2, 2)
    gamma = np.geomspace(GAMMAS[0], GAMMAS[-1], 100)
    a.semilogx(gamma, 1 + gamma / (1 + gamma) ** 2, color=COLORS["truth"])
    a.errorbar(GAMMAS, *results["gain"], fmt="o", color=COLORS["vae"], ms=4)
    a.semilogx(gamma[gamma >= 1], 1 + 1 / gamma[gamma >= 1], color=COLORS["truth"], ls="--")
    a.errorbar(GAMMAS[2:], *results["alone"][:, 2:], fmt="o", color=ACCENT, ms=4)
    a.text(1.6, 1.72, "synthetic alone", color=ACCENT)
    a.text(0.27, 1.29, "real and synthetic", color=COLORS["vae"])
    a.axhline(1, color="#999999", lw=0.8)
    a.text(GAMMAS[0], 1.01, "real alone", color="#666666")
    a.set(xlabel="synthetic rows for each real one, $\\gamma$", ylabel="variance / real alone",
          title="a classifier that is a mean of rows (lines: exact)", xticks=GAMMAS, xticklabels=[f"{g:g}" for g in GAMMAS], ylim=(0.95, 2.1))
    a.minorticks_off()
    mean, error = added(results)
    M = np.array(ROWS[:len(mean)])
    draw_efficiency(d, results)
    b.loglog(M, 1e3 * (DIM + 1) / (4 * M), color=COLORS["truth"])
    b.errorbar(M, 1e3 * mean, 1e3 * error, fmt="o", color=COLORS["discriminative"], ms=4)
    b.text(M[1], 1e3 * (DIM + 1) / (3 * M[1]), "(D + 1) / (4 M)", va="bottom")
    b.set(xlabel="synthetic rows of each class, M", ylabel="excess over LDA (mnat)",
          title="logistic regression on samples of LDA (line: to first order)", xticks=M,
          xticklabels=[f"{m:,}" for m in M], yticks=[0.1, 0.2, 0.5, 1, 2], yticklabels=["0.1", "0.2", "0.5", "1", "2"])
    b.minorticks_off()
    parts, error = results["parts"].mean(axis=0), results["parts"].std(axis=0, ddof=1) / np.sqrt(len(results["parts"]))
    for y, name in enumerate(("one mean for both", "a mean for each class")[::-1]):
        joint, given, nats = parts[1 - y]
        c.barh(y, joint, 0.5, color=COLORS["baseline"], xerr=error[1 - y, 0])
        c.barh(y, given, 0.5, color=ACCENT)
        c.text(0, y + 0.3, f"{name}: network reaches {nats:.2f} nats", va="bottom", fontsize=8)
    c.text(given + 0.1, 1, "p(y | x)", color=ACCENT, va="center")
    c.text(joint - 0.3, 1, "p(x)", ha="right", va="center")
    c.set(xlabel="KL from the true classes (nats)", yticks=[], ylim=(-0.5, 1.7), title="two generators of patches, alike in KL")
    c.spines["left"].set_visible(False)
    return fig


def draw_efficiency(ax, results):
    """(4) as a line, and the ratio of excess errors as dots."""
    distance = np.linspace(0.5, 4, 60)
    ax.plot(distance, [efficiency(d) for d in distance], color=COLORS["truth"])
    ax.errorbar(DISTANCES, *measured_efficiency(results), fmt="o", color=COLORS["discriminative"], ms=4)
    ax.text(0.6, 0.45, "on real rows logistic regression\nneeds 1 / efficiency times as many", color=DARK_ORANGE)
    ax.set(xlabel="distance of the classes (standard deviations)", ylabel="efficiency against LDA", ylim=(0.25, 1.05),
           title="where the assumption is true, it is worth rows (line: the limit)")
