"""Real input that ships inside matplotlib, read offline: an MRI slice of a head, and an EEG.

mri_slice() is s1045.ima.gz, one sagittal slice of 256 x 256 pixels, stored as
big-endian 16-bit integers: 211 gray levels from 0 to 215.  (Read little-endian,
as matplotlib's gallery does, the picture is the same times 256.)  The air
around the head was set to exactly 0: 57 % of all pixels.

eeg() is eeg.dat, 800 time steps of four electrodes (PG3, PG5, PG7, PG9 in the
gallery), little-endian float64, each channel already of mean 0 and variance 1.
The file records no sampling rate; the gallery draws it as 10 seconds.

Training and held-out parts share no pixel and no time step: the input is cut
into blocks, and every fourth block is held out (small blocks, so that both
parts see every region).  Training windows overlap inside their block, so that
there are more of them; held-out windows do not, so that their average has an
honest standard error, up to the correlation between neighbors.

Gray levels are integers, and a density on integers can grow without bound by
putting a spike on each.  So a uniform draw from [0, 1) is added to every pixel;
the log density of the result bounds the log probability of the integers from
below (Theis, van den Oord and Bethge 2016, section 3.1).
"""
import gzip
from pathlib import Path

import matplotlib
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from scratch import checks

MRI_CENTER, MRI_SCALE = 93.0, 50.0     # mean and standard deviation of the tissue, in gray levels, rounded
MRI_BLOCK, EEG_BLOCK = 16, 100         # the side of a block in pixels, its length in time steps


def mri_slice():
    """The slice, scaled by its brightest pixel to [0, 1], (256, 256) float64; row 0 is the top."""
    levels = _mri_levels()
    return levels / levels.max()


def mri_patches(size, rng):
    """Patches of tissue, (n, size^2) each for training and held out: train, held_out.

    A patch counts as tissue if none of its pixels is 0, the level of the air.
    Pixels are (level + uniform - MRI_CENTER) / MRI_SCALE, rows of a patch one
    after the other.  Per pixel, -log density in gray levels is larger by
    log MRI_SCALE than in these units.

    >>> train, held_out = mri_patches(3, np.random.default_rng(0))
    >>> train.shape, held_out.shape
    ((15329, 9), (633, 9))
    """
    size, rng = checks.size(size, "size"), checks.generator(rng)
    if size > MRI_BLOCK:
        raise ValueError(f"size must be at most {MRI_BLOCK}, the side of a block, got {size}")
    side = 256 // MRI_BLOCK
    blocks = _mri_levels().reshape(side, MRI_BLOCK, side, MRI_BLOCK).swapaxes(1, 2)
    windows = sliding_window_view(blocks, (size, size), axis=(2, 3))              # (16, 16, ., ., size, size)
    row, column = np.indices((side, side))
    held = (row + 2 * column) % 4 == 0                                            # a staggered quarter
    parts = windows[~held], windows[held][:, ::size, ::size]
    patches = [part.reshape(-1, size * size) for part in parts]
    tissue = [part[part.min(axis=1) > 0] for part in patches]
    return tuple((levels + rng.random(levels.shape) - MRI_CENTER) / MRI_SCALE for levels in tissue)


def eeg():
    """The four channels, (800, 4) float64; row t is a time step."""
    return np.frombuffer(_read("eeg.dat", 800 * 4 * 8), dtype="<f8").reshape(800, 4).copy()


def eeg_windows(length):
    """Windows of one channel each, (n, length) for training and held out: train, held_out.

    The four channels are taken as draws from one law.  Two of the eight blocks
    are held out, for all channels at once, because channels are correlated.

    >>> train, held_out = eeg_windows(16)
    >>> train.shape, held_out.shape
    ((2040, 16), (48, 16))
    """
    length = checks.size(length, "length")
    if length > EEG_BLOCK:
        raise ValueError(f"length must be at most {EEG_BLOCK}, the length of a block, got {length}")
    blocks = eeg().T.reshape(4, -1, EEG_BLOCK)                                    # (4, 8, 100)
    windows = sliding_window_view(blocks, length, axis=2)                         # (4, 8, ., length)
    held = np.arange(blocks.shape[1]) % 4 == 1
    parts = windows[:, ~held], windows[:, held][:, :, ::length]
    return tuple(part.reshape(-1, length) for part in parts)


def _mri_levels():
    return np.frombuffer(_read("s1045.ima.gz", 256 * 256 * 2), dtype=">u2").reshape(256, 256).astype(float)


def _read(name, size):
    """The bytes of one of matplotlib's sample files, unpacked, if there are `size` of them."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: this build of matplotlib comes without its sample data. "
            "The wheel on PyPI has it: pip install --force-reinstall matplotlib")
    content = path.read_bytes()
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    if len(content) != size:
        raise ValueError(f"{path} must hold {size} bytes, got {len(content)}: it is not the file expected")
    return content
