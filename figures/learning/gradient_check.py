"""A gradient checked by central differences and by the complex step, on the autoregressive model's loss."""
import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.kernels.dense import mlp_views
from scratch.learning.gradient_check import CENTRAL_STEP

CLAIM = ("A central difference errs by truncation (h^2) or by rounding (eps / h) and is best near h = eps^(1/3); "
         "the complex step is exact to rounding for every small h; a wrong sign shows at every h.")


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

    return dict(h=steps, central=error(central, dtheta), complex=error(imaginary, dtheta),
                flipped=error(imaginary, flipped), directions=len(directions))


def draw(results):
    """Error against step size, both logarithmic."""
    fig = figure(4.2, "Is this gradient the derivative of this loss?")
    ax = fig.subplots()
    h = results["h"]
    ax.loglog(h, results["flipped"], color=ACCENT, label="complex step, one bias vector's sign flipped")
    ax.loglog(h, results["central"], color=COLORS["baseline"], marker="o", ms=3, label="central difference")
    ax.loglog(h, results["complex"], color=COLORS["truth"], marker="s", ms=3, label="complex step")
    ax.text(1e-3, 1e-7, "truncation: $h^2$", ha="left")
    ax.text(1e-11, 3e-7, "rounding: $\\epsilon / h$", ha="right")
    ax.axvline(CENTRAL_STEP, color=COLORS["baseline"], lw=0.8)
    ax.text(CENTRAL_STEP / 1.3, 3.0, "$h = \\epsilon^{1/3}$", color=COLORS["baseline"], ha="right")
    ax.set(xlabel="step size $h$", ylabel="relative error of a directional derivative", ylim=(1e-17, 30),
           title=f"autoregressive model, float64; median over {int(results['directions'])} random directions")
    ax.legend(loc="lower right")
    return fig
