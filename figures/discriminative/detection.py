"""Detection: rings hidden in a real MRI slice, found by a sliding window."""
import numpy as np

from figures.style import ACCENT, COLORS, DARK_ORANGE, figure
from scratch.data.real import MRI_CENTER, MRI_SCALE, mri_slice
from scratch.discriminative.detection import (
    Insertion, free_response, hardest, match, matched_filter, score_map, suppress, windows)
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.discriminative.neural_network import Classifier
from scratch.discriminative.roc import area_difference, area_under_roc
from scratch.learning.training import fit

SECTION = "1.4"
FINDING = "A network finds faint rings that the matched filter loses among edges"
SETTINGS = ("Rings of 15 gray levels in an MRI slice of 215 levels; each half is searched by the detectors made from the other half. "
            "144 rings in 12 copies. Circle: ring found. Red cross: false mark. Marks at 10 false ones a slice. Bars: 1 s.e.")

SIZE, RADIUS, STRENGTH = 11, 3.0, 15.0                      # window, ring radius in pixels; gray levels of 215
MIDDLE = 115                                                # a detector sees one side of this column in training
APART, REACH, BLOCK = 16, 3, 32                             # between structures; of a hit; of a cluster for errors
FALSE_MARKS = np.logspace(-1, 2, 150)
KINDS = ["template alone", "whitened matched filter", "logistic regression", "network",
         "network + hardest negatives"]
STYLES = [("baseline", ":"), ("baseline", "-"), ("discriminative", ":"), ("discriminative", "--"),
          ("discriminative", "-")]


def picture():
    """The slice in the units of training; air is below all tissue."""
    return (mri_slice() * 215 - MRI_CENTER) / MRI_SCALE


def ring():
    """The structure, (SIZE, SIZE): a soft ring."""
    axis = np.arange(SIZE) - SIZE // 2
    return STRENGTH / MRI_SCALE * np.exp(-0.5 * ((np.hypot(axis[:, None], axis) - RADIUS) / 0.8) ** 2)


def halves(slice_):
    """Masks (2, H, W) of the windows in each half: those whose center is tissue, and those that are all tissue."""
    air, view = slice_.min(), windows(slice_, SIZE)
    columns = np.arange(view.shape[1])
    sides = np.stack([columns + SIZE <= MIDDLE, columns >= MIDDLE])[:, None, :]
    center = slice_[SIZE // 2:-(SIZE // 2), SIZE // 2:-(SIZE // 2)] > air
    return sides & center, sides & (view.min(axis=(2, 3)) > air)


def flat(slice_, mask):
    """The windows where mask is True, (n, SIZE^2)."""
    return windows(slice_, SIZE)[mask].reshape(-1, SIZE * SIZE)


def symmetric(x):
    """Windows (n, SIZE^2) with their reflections and quarter turns, (8 n, SIZE^2): the ring is the same in each."""
    x = x.reshape(-1, SIZE, SIZE)
    flips = [x, x[:, ::-1], x[:, :, ::-1], x[:, ::-1, ::-1]]
    return np.concatenate(flips + [flip.swapaxes(1, 2) for flip in flips]).reshape(-1, SIZE * SIZE)


def network(law, rng, steps):
    """A trained network's log odds of a structure, as a function of windows."""
    model = Classifier(SIZE * SIZE, classes=2, hidden=(64, 64), penalty=1e-4)
    theta = fit(model, model.init(rng), law, rng, steps=steps)

    def score(x):
        logits = model.scores(theta, x).astype(float)
        return logits[:, 1] - logits[:, 0]
    return score


def detectors(backgrounds, rng, steps):
    """The five kinds, all of them made from the windows of one half."""
    backgrounds = symmetric(backgrounds)
    law = Insertion(backgrounds.astype(np.float32), ring())
    linear = LogisticRegression(SIZE * SIZE, penalty=1e-3)
    weights = linear.fit(Insertion(backgrounds, ring()).sample(min(20_000, len(backgrounds)), rng))
    first = network(law, rng, steps)
    mined = Insertion(law.backgrounds, ring(), hardest(first, law.backgrounds, len(backgrounds) // 20))
    return [matched_filter(ring() - ring().mean()), matched_filter(ring(), backgrounds, noise=0.04),
            lambda x: linear.scores(weights, x), first, network(mined, rng, steps)]


def hide(slice_, allowed, count, rng):
    """A copy of the slice with `count` rings at allowed places (row, column), APART pixels from each other."""
    places = np.empty((0, 2), int)
    for place in rng.permutation(np.argwhere(allowed)):
        if len(places) < count and (np.hypot(*(places - place).T) >= APART).all():
            places = np.vstack([places, place])
    copy = slice_.copy()
    for i, j in places:
        copy[i:i + SIZE, j:j + SIZE] += ring()
    return copy, places


def compute(effort, rng):
    """Curves and areas of every kind of detector, each half searched by the one made from the other half."""
    steps, copies, stride, thin = (20, 1, 12, 40) if effort == "quick" else (2000, 12, 2, 1)
    slice_ = picture()
    searched, allowed = halves(slice_)
    made = [detectors(flat(slice_, searched[other])[::thin], rng, steps) for other in (1, 0)]     # for half 0, half 1
    slices = [hide(slice_, allowed.any(axis=0), 12, rng) for _ in range(copies)]
    return dict(seeds=1, **operating_characteristics(slice_, searched, allowed, made, stride),
                **free_responses(slices, searched, made), slice=slices[0][0].astype(np.float32), places=slices[0][1],
                structures=sum(len(places) for _, places in slices), copies=copies, steps=steps)


def operating_characteristics(slice_, searched, allowed, made, stride):
    """Every window without a ring against every allowed window with one, in each half; errors by clusters of blocks."""
    sparse = np.zeros(searched.shape[1:], bool)
    sparse[::stride, ::stride] = True
    areas, gains = [[] for _ in KINDS], []
    for half in (0, 1):
        with_ring, without = allowed[half] & sparse, searched[half] & sparse
        positive, negative = flat(slice_, with_ring) + ring().ravel(), flat(slice_, without)
        clusters = [np.argwhere(mask) // BLOCK @ [100, 1] for mask in (with_ring, without)]
        scores = [(score(positive), score(negative)) for score in made[half]]
        for kind, pair in enumerate(scores):
            areas[kind].append(area_under_roc(*pair, *clusters))
        gains.append(area_difference(scores[-1], scores[1], *clusters))
    return dict(areas=[pool(pair) for pair in areas], gain=pool(gains))


def free_responses(slices, searched, made):
    """Marks on copies of the slice with hidden rings: curves, shares found at 10 false marks, examples."""
    responses, at_ten, shown = [], [], []
    counts = np.array([len(places) for _, places in slices])
    for kind in range(len(KINDS)):
        marks, hits = zip(*(find(copy, places, searched, made, kind) for copy, places in slices))
        scores, right = np.concatenate([found.scores for found in marks]), np.concatenate(hits)
        responses.append(np.interp(FALSE_MARKS, *free_response(scores, right, int(counts.sum()), len(slices))))
        wrong = np.sort(scores[~right])[::-1]
        threshold = wrong[min(10 * len(slices), len(wrong)) - 1]
        found = np.array([np.sum(hit & (mark.scores > threshold)) for mark, hit in zip(marks, hits)]) / counts
        at_ten.append([found.mean(), found.std() / np.sqrt(max(len(slices) - 1, 1))])
        shown.append(np.column_stack([marks[0].places, hits[0]])[marks[0].scores > threshold])
    return dict(responses=responses, at_ten=at_ten, marks_filter=shown[1], marks_network=shown[-1])


def find(copy, places, searched, made, kind):
    """Marks on a whole slice, and which of them are hits."""
    scores = np.maximum(*(score_map(made[half][kind], copy, SIZE, searched[half]) for half in (0, 1)))
    marks = suppress(scores, SIZE // 2)
    return marks, match(marks, places, REACH)


def pool(pair):
    """The mean of the two halves' independent estimates, and its standard error."""
    return [np.mean([part.value for part in pair]), np.hypot(*(part.stderr for part in pair)) / 2]


def claim(results):
    """Rings found by the network and by the filter, and how little the area shows of it."""
    (found, error), (filtered, filtered_error) = results["at_ten"][-1], results["at_ten"][1]
    return (f"At ten false marks the network finds {100 * found:.0f} +- {100 * error:.0f} % of the rings, the filter "
            f"{100 * filtered:.0f} +- {100 * filtered_error:.0f} %; ROC areas differ by {results['gain'][0]:.3f}.")


def checks(results):
    """The network is ahead in both measures."""
    (found, error), (filtered, filtered_error) = results["at_ten"][-1], results["at_ten"][1]
    gain, gain_error = results["gain"]
    return {"the network finds more rings, by 4 standard errors": bool(
                found - filtered > 4 * np.hypot(error, filtered_error)),
            "its area is larger by 2 standard errors": bool(gain > 2 * gain_error),
            "the area hides most of the difference": bool(gain < (found - filtered) / 5)}


def draw(results):
    """The slice with marks, a piece of it enlarged, and the share of rings found against false marks."""
    fig = figure(6.4, FINDING, SETTINGS)
    top, bottom = fig.subfigures(2, 1, height_ratios=[1.35, 1])
    center, whole = SIZE // 2, dict(xlim=(15, 205), ylim=(248, 22))
    first = results["places"][0] + center
    zoomed = dict(xlim=(first[1] - 16, first[1] + 16), ylim=(first[0] + 16, first[0] - 16))
    shown = ((None, "a) the slice, 12 rings in it", "black", whole), (None, "b) one of them, enlarged", "black", zoomed),
             (results["marks_filter"], "c) matched filter", "black", whole),
             (results["marks_network"], "d) network", DARK_ORANGE, whole))
    for panel, (marks, title, color, view) in zip(top.subplots(1, 4), shown):
        panel.imshow(results["slice"], cmap="gray", vmin=-2, vmax=2.5)
        panel.set(xticks=[], yticks=[], **view)
        panel.set_title(title, color=color)
        for i, j, hit in marks if marks is not None else ():
            panel.plot(j + center, i + center, "o" if hit else "x", ms=7, mfc="none", mew=1.6,
                       color=COLORS["discriminative"] if hit else ACCENT)
    froc_ax, dots = bottom.subplots(1, 2, gridspec_kw=dict(width_ratios=[1, 1]))
    for kind in (1, len(KINDS) - 1):
        family, line = STYLES[kind]
        froc_ax.semilogx(FALSE_MARKS, results["responses"][kind], color=COLORS[family] if kind > 1 else "#777777")
    froc_ax.axvline(10, ls=":", lw=0.8, color="0.6")
    froc_ax.text(0.12, 0.72, "network", color=DARK_ORANGE)
    froc_ax.text(12, 0.35, "matched filter", color="#777777")
    froc_ax.set(xlabel="false marks per slice", ylabel="share of rings found", ylim=(0, 1.02), title="e) free response")
    for kind, (family, _) in enumerate(STYLES):
        found, error = results["at_ten"][kind]
        dots.errorbar(100 * found, -kind, xerr=100 * error, fmt="o", color=COLORS[family] if kind > 1 else "#777777", capsize=3)
    dots.set(yticks=-np.arange(len(KINDS)), yticklabels=KINDS, xlim=(0, 100), ylim=(-4.6, 0.6),
             xlabel="% of rings found at 10 false marks per slice", title="f) all five detectors")
    return fig
