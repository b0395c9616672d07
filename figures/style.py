"""What all pictures share: the headline, the foot, one color per family, one size.

    headline    the finding, left, and the only title of the figure
    foot        one gray line of settings: sizes, steps, seeds, what the bars are
    truth       black, and densities in shades of gray; else only a baseline and remarks are gray
    +- and bars one standard error
    red         ACCENT: what is wrong, planted or lost
"""
import io
import textwrap

import numpy as np
from matplotlib import image
from matplotlib.figure import Figure

# Okabe and Ito's palette, but for the diffusion pair and the gray.  Of any two colors the distance is at least 15
# (CIE 1976) for normal vision and under simulated protanopia, deuteranopia and tritanopia.
# Checked in tests/figures/test_style.py::test_all_colors_are_told_apart_by_every_kind_of_vision.
COLORS = {
    "truth": "#000000",
    "autoregressive": "#0072B2",
    "mixture": "#56B4E9",
    "vae": "#009E73",
    "gan": "#D55E00",
    "diffusion": "#882255",
    "discriminative": "#E69F00",
    "baseline": "#C0C0C0",
}
SECOND_DIFFUSION = "#CC79A7"      # a second diffusion method beside the first
DARK_ORANGE = "#9A6A00"           # text of the discriminative family: orange is too light to be read
ACCENT = "#B2182B"
DENSITY = "Greys"                 # densities are ink on paper, white = 0

WIDTH = 9.0                       # inches; a README shows them on 850 pixels, where 8 points are 10 pixels
DOTS_PER_INCH = 200               # for screens of high density
LEVELS = 64                       # of each color channel; by hand, 32 show steps in pale shades
SETTINGS = {
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8, "legend.frameon": False,
    "xtick.labelsize": 8, "ytick.labelsize": 8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False, "lines.linewidth": 1.5,
    "savefig.dpi": DOTS_PER_INCH, "figure.constrained_layout.use": True,
}


def figure(height, finding, settings):
    """An empty Figure of README width with its headline and its foot, laid out so that no label is cut."""
    fig = Figure(figsize=(WIDTH, height), layout="constrained")
    fig.suptitle(finding, x=0.01, ha="left", fontsize=12, fontweight="bold")
    fig.supxlabel(textwrap.fill(settings, 150), x=0.01, ha="left", fontsize=8, color="#666666")
    return fig


def plane(ax, bounds):
    """Equal axes over bounds ((low, high), (low, high)), without ticks: the frame carries nothing."""
    ax.set(xlim=bounds[0], ylim=bounds[1], aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def png(fig, **texts):
    """The picture as the bytes of a PNG with LEVELS levels a channel, smaller than one with all 256, and with these texts."""
    full, small = io.BytesIO(), io.BytesIO()
    fig.savefig(full, format="png")
    full.seek(0)
    colors = np.round(image.imread(full)[..., :3] * (LEVELS - 1)) / (LEVELS - 1)
    image.imsave(small, np.uint8(np.round(255 * colors)), format="png", metadata=texts, pil_kwargs=dict(optimize=True))
    return small.getvalue()
