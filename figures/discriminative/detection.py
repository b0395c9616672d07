"""Detection: rings hidden in a real MRI slice, found by a sliding window."""
import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.data.real import MRI_CENTER, MRI_SCALE, mri_slice
from scratch.discriminative.detection import (
    Insertion, free_response, hardest, match, matched_filter, score_map, suppress, windows)
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.discriminative.neural_network import Classifier
from scratch.discriminative.roc import area_difference, area_under_roc, roc_curve
from scratch.learning.training import fit

CLAIM = ("A network finds faint rings in a real MRI slice that the best linear filter loses among edges: the area "
         "under the ROC, full of easy negatives, hardly shows it; what is found at a bearable number of false marks does.")

SIZE, RADIUS, STRENGTH = 11, 3.0, 15.0                      # window, ring radius in pixels; gray levels of 215
MIDDLE = 115                                                # a detector sees one side of this column in training
APART, REACH, BLOCK = 16, 3, 32                             # between structures; of a hit; of a cluster for errors
FALSE_SHARES, FALSE_MARKS = np.logspace(-3, 0, 150), np.logspace(-1, 2, 150)
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
    return dict(**operating_characteristics(slice_, searched, allowed, made, stride),
                **free_responses(slices, searched, made), slice=slices[0][0].astype(np.float32), places=slices[0][1],
                structures=sum(len(places) for _, places in slices), copies=copies, steps=steps)


def operating_characteristics(slice_, searched, allowed, made, stride):
    """Every window without a ring against every allowed window with one, in each half; errors by clusters of blocks."""
    sparse = np.zeros(searched.shape[1:], bool)
    sparse[::stride, ::stride] = True
    rocs, areas, gains = [[] for _ in KINDS], [[] for _ in KINDS], []
    for half in (0, 1):
        with_ring, without = allowed[half] & sparse, searched[half] & sparse
        positive, negative = flat(slice_, with_ring) + ring().ravel(), flat(slice_, without)
        clusters = [np.argwhere(mask) // BLOCK @ [100, 1] for mask in (with_ring, without)]
        scores = [(score(positive), score(negative)) for score in made[half]]
        for kind, pair in enumerate(scores):
            areas[kind].append(area_under_roc(*pair, *clusters))
            rocs[kind].append(np.interp(FALSE_SHARES, *roc_curve(*pair)))
        gains.append(area_difference(scores[-1], scores[1], *clusters))
    return dict(rocs=np.mean(rocs, axis=1), areas=[pool(pair) for pair in areas], gain=pool(gains))


def free_responses(slices, searched, made):
    """Marks on copies of the slice with hidden rings: curves, shares found at 10 false marks, examples."""
    responses, at_ten, shown, worst = [], [], [], []
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
        worst.append([slices[0][0][i:i + SIZE, j:j + SIZE] for i, j in marks[0].places[~hits[0]][:8]])
    return dict(responses=responses, at_ten=at_ten, marks_filter=shown[1], marks_network=shown[-1],
                worst=np.array([worst[1], worst[-1]], np.float32))


def find(copy, places, searched, made, kind):
    """Marks on a whole slice, and which of them are hits."""
    scores = np.maximum(*(score_map(made[half][kind], copy, SIZE, searched[half]) for half in (0, 1)))
    marks = suppress(scores, SIZE // 2)
    return marks, match(marks, places, REACH)


def pool(pair):
    """The mean of the two halves' independent estimates, and its standard error."""
    return [np.mean([part.value for part in pair]), np.hypot(*(part.stderr for part in pair)) / 2]


def draw(results):
    """The slice with marks, the two curves, and the windows that fooled the detectors."""
    gain, error = results["gain"]
    fig = figure(7.4, "Rings of 15 gray levels in an MRI slice of 215.  Area under the ROC, network minus whitened "
                      f"matched filter: {gain:.4f} $\\pm$ {error:.4f}.\nSensitivity at 10 false marks per slice: network "
                      f"{results['at_ten'][-1][0]:.2f} $\\pm$ {results['at_ten'][-1][1]:.2f}, filter "
                      f"{results['at_ten'][1][0]:.2f} $\\pm$ {results['at_ten'][1][1]:.2f} "
                      f"({int(results['structures'])} rings in {int(results['copies'])} copies of the slice)")
    top, bottom, strip = fig.subfigures(3, 1, height_ratios=[1.3, 1, 0.3])
    ax, filter_ax, network_ax = top.subplots(1, 3)
    center = SIZE // 2
    for panel, marks, title, color in ((ax, None, "the slice, 12 rings in it", "black"),
                                       (filter_ax, results["marks_filter"], "marks of the matched filter", "0.4"),
                                       (network_ax, results["marks_network"], "marks of the network", "#B87A00")):
        panel.imshow(results["slice"], cmap="gray", vmin=-2, vmax=2.5)
        panel.set(xticks=[], yticks=[], xlim=(15, 205), ylim=(248, 22))
        panel.set_title(title, color=color)
        for i, j in results["places"] + center:
            panel.plot(j, i, "s", ms=9, mfc="none", mec="white", mew=0.8)
        for i, j, hit in marks if marks is not None else ():
            panel.plot(j + center, i + center, "o" if hit else "x", ms=6, mfc="none", mew=1.6,
                       color=COLORS["discriminative"] if hit else ACCENT)
    roc_ax, froc_ax, last = bottom.subplots(1, 3, gridspec_kw=dict(width_ratios=[1, 1, 1.05]))
    for kind, (family, line) in enumerate(STYLES):
        (area, error), (found, found_error) = results["areas"][kind], results["at_ten"][kind]
        roc_ax.semilogx(FALSE_SHARES, results["rocs"][kind], line, color=COLORS[family])
        numbers = f"{area:.4f} $\\pm$ {error:.4f}     {found:.2f} $\\pm$ {found_error:.2f}"
        froc_ax.semilogx(FALSE_MARKS, results["responses"][kind], line, color=COLORS[family],
                         label=f"{KINDS[kind]}\n{numbers}")
    roc_ax.set(xlabel="share of empty windows marked", ylabel="share of rings marked", ylim=(0, 1.02), title="ROC")
    froc_ax.axvline(10, ls=":", lw=0.8, color="0.6")
    froc_ax.set(xlabel="false marks per slice", ylabel="share of rings found", ylim=(0, 1.02), title="free response")
    last.axis("off")
    last.legend(*froc_ax.get_legend_handles_labels(), loc="upper left", borderaxespad=0,
                title="area under the ROC, found at 10 false marks", title_fontsize=8, alignment="left")
    for ax, patches, name in zip(strip.subplots(1, 2), results["worst"], ("matched filter", "network")):
        tiles = np.full((SIZE, 8, SIZE + 1), np.nan)
        tiles[:, :, :SIZE] = patches.transpose(1, 0, 2)
        ax.imshow(tiles.reshape(SIZE, -1), cmap="gray", vmin=-2, vmax=2.5)
        ax.set_title(f"the worst false marks of the {name}")
        ax.axis("off")
    return fig
