"""What all pictures share: one color per family, one size, one way of labelling."""
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by every kind of color vision; one family, one color, in every picture.
COLORS = {
    "truth": "#000000",
    "autoregressive": "#0072B2",
    "vae": "#009E73",
    "gan": "#D55E00",
    "diffusion": "#CC79A7",
    "discriminative": "#E69F00",
    "baseline": "#888888",
}
ACCENT = "#B2182B"                # a red that belongs to no family: samples of the truth, planted errors
DARK_DIFFUSION = "#6B2E55"        # a second diffusion method beside the first: the same hue, darker
DENSITY = "Greys"                 # densities are ink on paper, white = 0

WIDTH = 9.0                       # inches at 100 dots per inch: the width of a README
SETTINGS = {
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False, "lines.linewidth": 1.5,
    "savefig.dpi": 100, "figure.constrained_layout.use": True,
}


def figure(height, title=None):
    """An empty Figure of README width, laid out so that no label is cut."""
    fig = Figure(figsize=(WIDTH, height), layout="constrained")
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def plane(ax, bounds):
    """Equal axes in x1 and x2 over bounds ((low, high), (low, high))."""
    ax.set(xlim=bounds[0], ylim=bounds[1], aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
