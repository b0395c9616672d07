"""Real data that ship inside matplotlib, read offline: one MRI slice of a head.

s1045.ima.gz is a sagittal slice of 256 x 256 pixels, stored as big-endian 16-bit integers: 211 gray
levels from 0 to 215.  (matplotlib's gallery reads it little-endian, which multiplies it by 256.)
The air around the head was set to exactly 0: 57 % of all pixels.

Training and held-out patches share no pixel: the slice is cut into blocks, and every fourth block
is held out.  Training patches overlap inside their block, so that there are more of them.  Held-out
patches do not overlap, which keeps their standard error nearly right; a smaller `stride` gives more.

A density can have a spike at each integer, without an upper bound.  So a draw u ~ Uniform[0, 1) is
added to every pixel.  Then E_u log p(level + u) is at most the log probability of the level (Theis
et al. 2016, "A note on the evaluation of generative models", 3.1).
"""
import gzip
from pathlib import Path

import matplotlib
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from scratch import checks

MRI_CENTER, MRI_SCALE = 93.0, 50.0     # mean and standard deviation of the tissue, in gray levels, rounded
MRI_BLOCK = 16                         # side of a block in pixels; chosen by hand, not swept


def mri_slice():
    """The slice divided by its brightest level, in [0, 1], (256, 256) float64; row 0 is the top."""
    levels = _mri_levels()
    return levels / levels.max()


def mri_patches(size, rng, *, stride=None):
    """Patches without a pixel of air (level 0): train (N, size^2) and held_out (M, size^2).

    stride: pixels from one held-out patch of a block to the next; by default size.

    Pixels are (level + u - MRI_CENTER) / MRI_SCALE, row by row.  A density in gray levels is one in
    these units divided by MRI_SCALE for each pixel.

    >>> train, held_out = mri_patches(3, np.random.default_rng(0))
    >>> levels = np.floor(np.concatenate([train, held_out]) * MRI_SCALE + MRI_CENTER)
    >>> len(train), len(held_out), int(levels.min()), int(levels.max())           # no level 0
    (15329, 633, 1, 215)
    """
    size, rng = checks.size(size, "size"), checks.generator(rng)
    stride = checks.size(size if stride is None else stride, "stride")
    if size > MRI_BLOCK:
        raise ValueError(f"size must be at most {MRI_BLOCK}, the side of a block, got {size}")
    side = 256 // MRI_BLOCK
    blocks = _mri_levels().reshape(side, MRI_BLOCK, side, MRI_BLOCK).swapaxes(1, 2)
    windows = sliding_window_view(blocks, (size, size), axis=(2, 3))              # (16, 16, ., ., size, size)
    row, column = np.indices((side, side))
    held = (row + 2 * column) % 4 == 0                                            # a staggered quarter
    parts = [part.reshape(-1, size * size) for part in (windows[~held], windows[held][:, ::stride, ::stride])]
    tissue = [part[part.min(axis=1) > 0] for part in parts]
    return tuple((levels + rng.random(levels.shape) - MRI_CENTER) / MRI_SCALE for levels in tissue)


def _mri_levels():
    """The gray levels as stored, (256, 256) float64."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / "s1045.ima.gz"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: this build of matplotlib comes without its sample data. "
            "The wheel on PyPI has it: pip install --force-reinstall matplotlib")
    content = gzip.decompress(path.read_bytes())
    if len(content) != 256 * 256 * 2:
        raise ValueError(f"{path} must hold {256 * 256 * 2} bytes, got {len(content)}: not the file expected")
    return np.frombuffer(content, dtype=">u2").reshape(256, 256).astype(float)
