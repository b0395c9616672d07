"""A gradient checked by central differences and by the complex step, on the autoregressive model's loss."""
import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.kernels.dense import mlp_views
from scratch.learning.gradient_check import CENTRAL_STEP

SECTION = "trust"
FINDING = "The complex step is exact for every small h, differences are not"
SETTINGS = ("Autoregressive model, float64, one random point: the gradient along 40 random directions, the median of the relative errors. "
            "Red: the sign of one bias vector of the gradient is flipped.")


def compute(effort, rng):
    """Relative error of <dtheta, v> against h, the median over random directions v."""
    model = AutoregressiveMixture(dim=3, components=4, hidden=(16, 16))
    theta = model.init(rng, np.float64) + 0.1 * rng.standard_normal(model.mask.shape)
    x = rng.standard_normal((64, 3))
    dtheta = model.loss(theta, x)[1]
    flipped = dtheta.copy()
    mlp_views(flipped, model.widths)[1][1][...] *= -1       # the planted error: one bias vector's sign
    directions = rng.standard_normal((5 if effort == "quick" else 40, len(theta)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def loss(theta):
        return model.loss(theta, x)[0]

    steps = np.logspace(-16, -1, 31)
    central = np.array([[(loss(theta + h * v) - loss(theta - h * v)) / (2 * h) for v in directions] for h in steps])
    imaginary = np.array([[np.imag(loss(theta + 1j * h * v)) / h for v in directions] for h in steps])
    typical = np.linalg.norm(dtheta) / np.sqrt(len(dtheta))

    def error(derivatives, gradient):
        return np.median(np.abs(derivatives - directions @ gradient), axis=1) / typical     # over directions, (steps,)

    return dict(seeds=1, h=steps, central=error(central, dtheta), complex=error(imaginary, dtheta),
                flipped=error(imaginary, flipped), directions=len(directions))


def claim(results):
    """The least error of either method, and the error of the flipped sign."""
    h, best = results["h"], int(np.argmin(results["central"]))
    return (f"A central difference errs by {results['central'][best]:.0e} at best, at h = {h[best]:.0e}; the complex step by "
            f"{results['complex'][h < 1e-9].max():.0e}; a flipped sign shows as {np.median(results['flipped']):.2f}.")


def checks(results):
    """Where either method is exact, and that a wrong sign is seen at every h."""
    h, central, exact = results["h"], results["central"], results["complex"]
    return {"the complex step is exact to 1e-13 for every h below 1e-9": bool((exact[h < 1e-9] < 1e-13).all()),
            "a central difference is best within a factor 30 of eps^(1/3)": bool(
                abs(np.log(h[np.argmin(central)] / CENTRAL_STEP)) < np.log(30)),
            "it errs by 1e-12 or more at every h": bool(central.min() > 1e-12),
            "rounding makes it useless at h = 1e-15": bool(central[h < 1.1e-15].min() > 0.01),
            "the flipped sign shows at every h below 0.01": bool((results["flipped"][h < 0.01] > 0.01).all())}


def draw(results):
    """Error against step size, both logarithmic, a label on each curve."""
    fig = figure(4.2, FINDING, SETTINGS)
    ax, h = fig.subplots(), results["h"]
    for key, color, place, text in (("flipped", ACCENT, (1e-12, 0.2), "one sign flipped"),
                                    ("central", "#777777", (2e-12, 3e-3), "central difference: rounding, eps / h"),
                                    ("complex", COLORS["truth"], (1e-14, 3e-15), "complex step")):
        ax.loglog(h, results[key], color=color, marker="o", ms=3)
        ax.text(*place, text, color=color)
    ax.text(1.3e-3, 1e-7, "both: truncation, h$^2$")
    ax.axvline(CENTRAL_STEP, color="#777777", lw=0.8, ls=":")
    ax.text(CENTRAL_STEP * 1.3, 1e-14, "h = eps$^{1/3}$", color="#777777")
    ax.set(xlabel="step size h", ylabel="relative error of a directional derivative", ylim=(1e-17, 30))
    return fig
