"""The language of the pictures."""
import io
from itertools import combinations

import numpy as np
from matplotlib import image
from matplotlib.colors import to_rgb

from figures import style

# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", severity 1.0, for linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


def lab(color, vision):
    """CIE L*a*b* (D65) of a color as it is seen."""
    c = np.array(to_rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.array(VISIONS[vision]) @ linear, 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_white_is_white_and_the_distance_of_black_is_100():
    np.testing.assert_allclose(lab("#ffffff", "normal"), [100, 0, 0], atol=1e-6)
    np.testing.assert_allclose(lab("#000000", "deuteranopia"), [0, 0, 0], atol=1e-6)


def test_all_colors_are_told_apart_by_every_kind_of_vision():
    colors = style.COLORS | {"second diffusion": style.SECOND_DIFFUSION}
    for vision in VISIONS:
        for first, second in combinations(colors, 2):
            distance = np.linalg.norm(lab(colors[first], vision) - lab(colors[second], vision))
            assert distance >= 15, (vision, first, second, distance)


def test_a_figure_has_its_headline_and_its_foot():
    fig = style.figure(2, "It works", "One seed")
    assert fig.get_suptitle() == "It works" and fig.get_supxlabel() == "One seed"


def test_a_picture_keeps_its_colors_within_a_level():
    fig = style.figure(2, "It works", "One seed")
    fig.subplots().imshow(np.linspace(0, 1, 300)[None], cmap="Greys", aspect="auto")
    picture = image.imread(io.BytesIO(style.png(fig)))[..., :3]
    full = io.BytesIO()
    fig.savefig(full, format="png")
    full.seek(0)
    assert np.abs(picture - image.imread(full)[..., :3]).max() <= 0.5 / (style.LEVELS - 1) + 1 / 255
    assert len(np.unique(picture)) == style.LEVELS
