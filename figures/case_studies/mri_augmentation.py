"""Scarce patches of tissue, enlarged in every way: does synthesis help a classifier whose best error is known?

All arms train the same network.  In each of `DRAWS` draws they share the real rows and the test rows, so that
differences are paired.  Penalty and share were chosen on the real rows of the pilot draws, which no other part
sees, and stand below as constants; checks() compares them with the stored pilots.  The pilots try the arms "real",
"flips", "hand", "pca" and "pca alone" with two thirds of the N rows; SMOTE and the other generators take what was
chosen for pPCA.  The grid was fixed beforehand but for the penalty 3e-2, which came in after five draws had been seen.
For the real slice the same constants hold.  All its draws choose windows from the same blocks and are tested on the
same others, so that its errors say nothing about another head.

The jitter by hand has an assumption, too: the std of its noise is the scanner's, which is exactly right in the known
distribution, and that of its brightness was chosen by hand with the slice in sight.
"""
import numpy as np
from scipy.stats import t as student

from figures.case_studies import mri_parts as mri
from figures.case_studies.mri_parts import Batches, classify, labeled, score
from figures.style import ACCENT, COLORS, DARK_ORANGE, figure
from scratch.data.tissue import SIDE, add_lesion
from scratch.discriminative.generative_classifier import GenerativeClassifier
from scratch.discriminative.roc import area_under_roc
from scratch.divergence.copying import copying

SECTION = "case"
FINDING = "Synthesis helps only scarce data, hardly more than jitter by hand"
SETTINGS = ("8 x 8 patches of a known distribution (32 and 128 Gaussians around an MRI slice); network 64-64-64-2, 400 "
            "steps of 128; 48 paired draws (mixture, VAE, diffusion: 24; diffusion is drawn from its difference to pPCA "
            "there), tested on 2,000 rows a class; synthetic: 2,000 rows a class; penalty and share by cross-validation on "
            "3 other draws, pPCA's for all synthesis; generators measured on 3 draws; red: 95 % interval of the crossing; "
            "bars: 1 s.e.")

SIZES = (10, 30, 100, 300, 1000)             # N, real rows of each class
DRAWS, DEEP_DRAWS, PILOTS, QUALITY = 48, 24, 3, 3
SYNTHETIC = 2000                             # rows of each class
PENALTIES, SHARES, FOLDS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1), (0.25, 0.5, 0.75), 3
CHOSEN = {                                   # by the pilots, for each N of SIZES
    "real": (1e-1, 1e-1, 3e-2, 3e-2, 1e-2),
    "flips": (1e-1, 1e-1, 3e-2, 1e-2, 1e-4),
    "hand": (3e-2, 3e-2, 3e-2, 1e-3, 1e-4),
    "pca": (1e-1, 3e-2, 1e-2, 1e-2, 1e-4),
    "alone": (3e-2, 3e-2, 1e-2, 1e-2, 1e-2),
    "share": (0.75, 0.5, 0.25, 0.25, 0.25),
}
ARMS = ("real", "flips", "hand", "smote", "truth", "pca, no flips", "pca .25", "pca .5", "pca .75", "pca alone")
DEEP = ("mixture", "mixture alone", "diffusion", "diffusion alone", "vae", "vae alone", "diffusion, memorized")
SLICE = ("real", "flips", "hand", "pca .5")
GENERATORS = ("pca", "mixture", "diffusion", "vae", "diffusion, memorized")
MEASURES = ("KL of both classes", "KL of healthy rows", "KL of p(y | x)", "C_T", "membership AUC")
MEMORIZED = 600                              # steps without turns, whatever N


def parts(effort):
    """The pilots, the paired draws, those of the real slice, and the generators' quality."""
    count = (1, 1, 1, 1) if effort == "quick" else (PILOTS, DRAWS, DRAWS, QUALITY)
    return [f"{kind} {i}" for kind, n in zip(("pilot", "draw", "slice", "quality"), count) for i in range(n)]


def compute_part(part, effort, rng):
    """What one part measures, for all N."""
    kind, number = part.split()
    budget = Budget(effort, deep=int(number) < DEEP_DRAWS)
    return {"pilot": pilot, "draw": draw_once, "slice": slice_once, "quality": quality}[kind](budget, rng)


class Budget:
    """Sizes and steps of an effort."""

    def __init__(self, effort, deep):
        self.effort, self.deep, quick = effort, deep, effort == "quick"
        self.sizes = SIZES[:1] if quick else SIZES
        self.steps, self.ceiling = (2, 3) if quick else (mri.STEPS, 4 * mri.STEPS)
        self.test, self.synthetic = (20, 20) if quick else (2000, SYNTHETIC)
        self.penalties, self.quick = PENALTIES[:1 if quick else None], quick
        self.rows = 4 if quick else 100      # of each class, on which a KL is measured

    def diffusion_steps(self, n):
        return 2 if self.quick else mri.diffusion_steps(n)

    def classify(self, batches, penalty, test, rng):
        return classify(batches, penalty, test, rng, self.steps)


def draw_rows(effort, n, rng):
    """n rows of each class of the known distribution."""
    return [law.sample(n, rng) for law in mri.laws(effort)]


# ---- the parts ----

def pilot(budget, rng):
    """Validation nats (N, arm, penalty) by cross-validation; the folds hold real rows with all their copies."""
    table = np.zeros((len(budget.sizes), 4 + len(SHARES), len(budget.penalties)))
    for i, n in enumerate(budget.sizes):
        classes = draw_rows(budget.effort, n, rng)
        for fold in range(FOLDS):
            held = np.arange(n) % FOLDS == fold
            real, test = (labeled(*(x[part] for x in classes)) for part in (~held, held))
            synthetic = draws_of(mri.pca_pair([mri.all_turns(x[~held]) for x in classes]), budget.synthetic, rng)
            arms = [Batches(real), Batches(real, turned=True), Batches(real, turned=True, jittered=True),
                    Batches(real, synthetic, 1.0)]
            arms += [Batches(real, synthetic, share, turned=True) for share in SHARES]
            for j, batches in enumerate(arms):
                for k, penalty in enumerate(budget.penalties):
                    table[i, j, k] += budget.classify(batches, penalty, test, rng)[0] / FOLDS
    return dict(table=table)


def draw_once(budget, rng):
    """Nats and AUC (N, arm, 2) of all arms on one draw, the Bayes rule's, and the ceiling's."""
    test = labeled(*draw_rows(budget.effort, budget.test, rng))
    bayes = rule_of(mri.laws(budget.effort), test)
    results = np.full((len(budget.sizes), len(ARMS) + len(DEEP) + 1, 2), np.nan)
    for i, n in enumerate(budget.sizes):
        classes = draw_rows(budget.effort, n, rng)
        results[i, :len(ARMS)] = cheap_arms(budget, i, classes, test, rng)
        results[i, -1] = rule_of(mri.pca_pair([mri.all_turns(x) for x in classes]), test)
        if budget.deep:
            results[i, len(ARMS):-1] = deep_arms(budget, i, classes, test, rng)
    ceiling = np.full(2, np.nan)
    if budget.deep:
        true = labeled(*draw_rows(budget.effort, 10 * budget.synthetic, rng))
        ceiling = classify(Batches(true), 0.0, test, rng, budget.ceiling)
    return dict(results=results, bayes=bayes, ceiling=ceiling)


def cheap_arms(budget, i, classes, test, rng):
    """Nats and AUC (arm, 2) of ARMS."""
    real, copies = labeled(*classes), [mri.all_turns(x) for x in classes]
    synthetic = draws_of(mri.pca_pair(copies), budget.synthetic, rng)
    plain = draws_of(mri.pca_pair(classes), budget.synthetic, rng)
    between = labeled(*(mri.smote(x, budget.synthetic, rng) for x in copies))
    true = labeled(*draw_rows(budget.effort, budget.synthetic, rng))
    share = CHOSEN["share"][i]
    return [budget.classify(batches, CHOSEN[base][column], test, rng) for batches, base, column in (
        (Batches(real), "real", i),
        (Batches(real, turned=True), "flips", i),
        (Batches(real, turned=True, jittered=True), "hand", i),
        (Batches(real, between, share, turned=True), "pca", i),
        (Batches(real, true, 0.5, turned=True), "flips", -1),                     # as many rows as the largest N has
        (Batches(real, plain, share), "real", i),
        *((Batches(real, synthetic, part, turned=True), "pca", i) for part in SHARES),
        (Batches(real, synthetic, 1.0), "alone", i))]


def deep_arms(budget, i, classes, test, rng):
    """Nats and AUC (arm, 2) of DEEP: each generator with the real rows, and alone."""
    real, share = labeled(*classes), CHOSEN["share"][i]
    generators = deep_generators(budget, classes, rng)
    results = []
    for name, laws in generators.items():
        synthetic = draws_of(laws, budget.synthetic, rng)
        memorized = name == "diffusion, memorized"
        results.append(budget.classify(Batches(real, synthetic, share, turned=not memorized),
                                       CHOSEN["real" if memorized else "pca"][i], test, rng))
        if not memorized:
            results.append(budget.classify(Batches(real, synthetic, 1.0), CHOSEN["alone"][i], test, rng))
    return results


def deep_generators(budget, classes, rng):
    """{name: the laws of both classes} of the generators of DEEP."""
    copies = [mri.all_turns(x) for x in classes]
    n = len(classes[0])
    return {"mixture": mri.mixture_pair(copies),
            "diffusion": mri.diffusion(copies, rng, budget.diffusion_steps(n)),
            "vae": [mri.vae(x, rng, 2 if budget.quick else mri.VAE_STEPS) for x in copies],
            "diffusion, memorized": mri.diffusion(classes, rng, 2 if budget.quick else MEMORIZED)}


def slice_once(budget, rng):
    """Nats and AUC (N, arm, 2) of SLICE on windows of the real slice; test windows are from other blocks."""
    train, held = (part + mri.NOISE * rng.standard_normal(part.shape) for part in mri.tissue_patches(rng))
    test = labeled(held, add_lesion(held, rng))
    results = np.zeros((len(budget.sizes), len(SLICE), 2))
    for i, n in enumerate(budget.sizes):
        healthy, other = train[rng.permutation(len(train))[:2 * n]].reshape(2, n, -1)
        classes = healthy, add_lesion(other, rng)
        real = labeled(*classes)
        synthetic = draws_of(mri.pca_pair([mri.all_turns(x) for x in classes]), budget.synthetic, rng)
        for j, (batches, base) in enumerate(((Batches(real), "real"), (Batches(real, turned=True), "flips"),
                                             (Batches(real, turned=True, jittered=True), "hand"),
                                             (Batches(real, synthetic, 0.5, turned=True), "pca"))):
            results[i, j] = budget.classify(batches, CHOSEN[base][i], test, rng)
    return dict(results=results)


def quality(budget, rng):
    """MEASURES of GENERATORS (N, generator, measure) on one draw, and a few patches of each.

    C_T has one cell.  Above 0 the generated rows are farther from the training rows than fresh rows are.
    """
    measures = np.full((len(budget.sizes), len(GENERATORS), len(MEASURES)), np.nan)
    x = labeled(*draw_rows(budget.effort, budget.rows, rng))
    truth = GenerativeClassifier(tuple(mri.laws(budget.effort)), [0.5, 0.5])
    fresh, patches = draw_rows(budget.effort, budget.test // 2, rng)[0], {}
    for i, n in enumerate(budget.sizes):
        classes = draw_rows(budget.effort, n, rng)
        generators = {"pca": mri.pca_pair([mri.all_turns(part) for part in classes]),
                      **deep_generators(budget, classes, rng)}
        for j, name in enumerate(GENERATORS):
            rows = generators[name][0].sample(budget.test // 2, rng)
            members = classes[0] if name == "diffusion, memorized" else mri.all_turns(classes[0])
            measures[i, j, 3] = copying(members, fresh, rows, rng)
            measures[i, j, 4] = membership(classes[0], fresh[:200], rows)
            if name in ("pca", "mixture", "diffusion")[:2 if budget.quick else 3]:
                measures[i, j, :3] = divergences(truth, generators[name], x)
            if n == budget.sizes[min(2, len(budget.sizes) - 1)]:
                patches[f"patches {name}"] = [law.sample(4, rng) for law in generators[name]]
    return dict(measures=measures, **patches, **{"patches real": draw_rows(budget.effort, 4, rng)})


def divergences(truth, laws, x):
    """KL(p || q) of the rows' classes, of healthy rows, and E KL(p(y | x) || q(y | x)), from labeled rows x."""
    model, y = GenerativeClassifier(tuple(laws), [0.5, 0.5]), x[:, -1].astype(int)
    joints = truth.log_joint(x[:, :-1]), model.log_joint(x[:, :-1])               # (n, 2) each
    gap = (joints[0] - joints[1])[np.arange(len(y)), y]
    given = [joint - np.logaddexp(*joint.T)[:, None] for joint in joints]
    return gap.mean(), gap[y == 0].mean(), np.mean(np.sum(np.exp(given[0]) * (given[0] - given[1]), axis=1))


def membership(members, fresh, rows):
    """The area under the ROC of "nearer to a generated row", of training rows (in any of 8 positions) against fresh."""
    def nearness(x):
        turned = mri.turns(x)                                                     # (8, n, D)
        square = np.sum(rows * rows, axis=1) - 2 * turned @ rows.T                # up to |x|^2, (8, n, m)
        return -(square.min(axis=(0, 2)) + np.sum(x * x, axis=1))
    return float(area_under_roc(nearness(members), nearness(fresh)))


def draws_of(laws, n, rng):
    """n labeled rows of each class."""
    return labeled(*(law.sample(n, rng) for law in laws))


def rule_of(laws, test):
    """Nats and AUC of the Bayes rule of these laws."""
    return score(GenerativeClassifier(tuple(laws), [0.5, 0.5]).log_posterior(test[:, :-1]), test[:, -1])


def gather(effort, parts):
    """All draws of a kind in one array each; the seed count is that of the draws."""
    def stack(kind, key):
        return np.stack([part[key] for name, part in parts.items() if name.startswith(kind)]).astype(np.float32)
    first = parts["quality 0"]
    return dict(seeds=sum(name.startswith("draw") for name in parts), sizes=Budget(effort, True).sizes,
                results=stack("draw", "results"), bayes=stack("draw", "bayes"), ceiling=stack("draw", "ceiling"),
                slice=stack("slice", "results"), measures=stack("quality", "measures"), pilots=stack("pilot", "table"),
                **{key: np.asarray(value, np.float32) for key, value in first.items() if key.startswith("patches")})


# ---- what the results say ----

def synthesis(results, measure=0):
    """Nats of flips and pPCA with the share chosen for each N, (draw, N); measure 1: the area under the ROC."""
    arms = [ARMS.index(f"pca {share:g}".replace("0.", ".")) for share in CHOSEN["share"][:len(results["sizes"])]]
    return results["results"][:, np.arange(len(arms)), arms, measure]


def nats(results, arm, measure=0):
    """Nats of an arm, (draw, N), or measure 1; draws without it are left out."""
    values = results["results"][:, :, (*ARMS, *DEEP, "rule").index(arm), measure]
    return values[~np.isnan(values).all(axis=1)]


def paired(first, second):
    """Mean of first - second over the draws that both have, its standard error, and its 95 % interval (2,), each (N,)."""
    n = min(len(first), len(second))
    difference = first[:n].astype(float) - second[:n]
    error = difference.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(difference.shape[1], np.nan)
    half = student.ppf(0.975, max(n - 1, 1)) * error
    return difference.mean(axis=0), error, np.stack([difference.mean(axis=0) - half, difference.mean(axis=0) + half])


def holm(effect, error, draws):
    """p values of effects against 0, adjusted for their number (Holm 1979)."""
    p = 2 * student.sf(np.abs(effect / error), draws - 1)
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)[np.argsort(order)]


def crossing(results, repeats=2000):
    """The N at which synthesis stops to help, and its 95 % interval by the bootstrap over draws."""
    difference, sizes = synthesis(results) - nats(results, "flips"), np.log(results["sizes"])
    rows = np.random.default_rng(0).integers(len(difference), size=(repeats, len(difference)))
    means = np.concatenate([difference.mean(axis=0)[None], difference[rows].mean(axis=1)])
    found = np.exp([_last_zero(sizes, mean) for mean in means])
    return found[0], np.quantile(found[1:], [0.025, 0.975])


def _last_zero(x, y):
    """Where the line through (x, y) rises above 0 for good: an end of x if it never does, or is never below."""
    below = np.flatnonzero(y < 0)
    if len(below) == 0 or below[-1] == len(x) - 1:
        return x[0] if len(below) == 0 else x[-1]
    i = below[-1] + 1
    return x[i - 1] - y[i - 1] * (x[i] - x[i - 1]) / (y[i] - y[i - 1])


def effects(results, arm=None):
    """{N: (nats of synthesis with flips less those of flips, standard error, Holm's p over all N)}.

    arm: an arm of all draws, such as "hand", in place of synthesis with the share that was chosen.
    """
    effect, error, _ = paired(nats(results, arm) if arm else synthesis(results), nats(results, "flips"))
    p = holm(effect, error, int(results["seeds"]))
    return {int(n): tuple(map(float, row)) for n, row in zip(results["sizes"], zip(effect, error, p))}


def choices(pilots):
    """What the pilots choose: penalties and shares as in CHOSEN, from validation nats (pilot, N, arm, penalty)."""
    table = pilots.mean(axis=0)                                                   # (N, arm, penalty)
    best = {name: tuple(PENALTIES[k] for k in table[:, j].argmin(axis=1))
            for name, j in (("real", 0), ("flips", 1), ("hand", 2), ("alone", 3))}
    mixed = table[:, 4:].mean(axis=1)                                             # one penalty for all shares
    best["pca"] = tuple(PENALTIES[k] for k in mixed.argmin(axis=1))
    best["share"] = tuple(SHARES[j] for j in [row[:, k].argmin() for row, k in zip(table[:, 4:], mixed.argmin(axis=1))])
    return best


def claim(results):
    found = list(effects(results).items())
    (first, few), (last, many) = found[0], found[-1]
    where, (low, high) = crossing(results)
    return (f"Synthesis changes nats by {few[0]:+.3f} +- {few[1]:.3f} at {first} rows a class, {many[0]:+.3f} +- {many[1]:.3f} "
            f"at {last:,}; it helps up to {where:.0f} ({low:.0f} to {high:.0f}).")


def checks(results):
    bayes, ceiling = results["bayes"][:, 0].mean(), np.nanmean(results["ceiling"][:, 0])
    flips, _, (_, flips_high) = paired(nats(results, "flips"), nats(results, "real"))
    effect, _, (own_low, high) = paired(synthesis(results), nats(results, "flips"))
    p = holm(*paired(synthesis(results), nats(results, "flips"))[:2], len(results["results"]))
    equal, _, (low, _) = paired(nats(results, "pca .5"), nats(results, "flips"))
    _, _, (_, jitter_high) = paired(nats(results, "hand"), synthesis(results))
    behind = [paired(nats(results, "hand"), values)[0] for values in
              (synthesis(results), *(nats(results, name) for name in ("mixture", "diffusion", "vae")))]
    on_slice = [results["slice"][:, :, SLICE.index(arm), 0] for arm in ("pca .5", "flips")]
    _, _, (slice_low, slice_high) = paired(*on_slice)
    _, _, (_, memorized) = paired(nats(results, "diffusion, memorized"), nats(results, "real"))
    _, _, (area_low, area_high) = paired(synthesis(results, 1), nats(results, "flips", 1))
    _, _, (_, rule) = paired(nats(results, "pca alone"), nats(results, "rule"))
    where, (first, last) = crossing(results)
    best = best_share(results)
    KL = kl_of(results)
    pilots = results["pilots"].mean(axis=0)                                       # (N, arm, penalty)
    return {
        "the Bayes rule has 0.156 +- 0.01 nats": bool(abs(bayes - 0.156) < 0.01),
        "the network on rows of the true distribution: at most 0.22": bool(ceiling < 0.22),
        "N = 10: flips gain at least 0.08": bool(flips[0] < -0.08 and flips_high[0] < 0),
        "N = 10 and 30: synthesis gains at least 0.01 over flips, interval below 0":
            bool((effect[:2] < -0.01).all() and (high[:2] < 0).all()),
        "N = 1,000: synthesis of equal weight costs at least 0.005, interval above 0":
            bool(equal[-1] > 0.005 and low[-1] > 0),
        "N = 1,000: synthesis of the chosen share costs nats, interval above 0": bool(own_low[-1] > 0),
        "each of these effects has p < 0.05 by Holm's correction over the five N": bool((p < 0.05).all()),
        "synthesis stops to help between 100 and 300, interval inside": bool(100 < first <= where <= last < 300),
        "by the area under the ROC, too: a gain up to 100 rows, a loss at 1,000, intervals without 0":
            bool((area_low[:3] > 0).all() and area_high[-1] < 0),
        "N = 10: trained on pPCA's rows alone the network beats pPCA's own Bayes rule, interval below 0": bool(rule[0] < 0),
        "jitter by hand at most 0.02 nats behind pPCA at every N, with its interval": bool((jitter_high < 0.02).all()),
        "jitter by hand at most 0.02 nats behind each generator at every N, by the mean":
            bool((np.array(behind) < 0.02).all()),
        "the best share of synthetic rows falls with N, from at least 1/2 to 0":
            bool((np.diff(best) <= 0).all() and best[0] >= 0.5 and best[-1] == 0),
        "the pilots alone say so: synthesis at 10 rows, flips alone at 1,000":
            bool(pilots[0, 4:].min() < pilots[0, 1].min() and pilots[-1, 4:].min() > pilots[-1, 1].min()),
        "real slice, too: a gain up to 100 rows, a loss at 1,000, intervals without 0":
            bool((slice_high[:3] < 0).all() and slice_low[-1] > 0),
        "KL at N = 1,000: pPCA at most 4.6, diffusion at most 3.5 and less":
            bool(KL[-1, 0] < 4.6 and KL[-1, 2] < min(3.5, KL[-1, 0])),
        "N = 1,000: diffusion, nearest to the truth, still costs nats": bool(nats(results, "diffusion").mean(axis=0)[-1] >
                                                    nats(results, "flips")[:DEEP_DRAWS].mean(axis=0)[-1]),
        "diffusion without flips is memorized: AUC above 0.95 at N = 10, C_T below -3":
            bool(results["measures"][:, 0, 4, 4].mean() > 0.95 and (results["measures"][:, 0, 4, 3] < -3).all()),
        "copies help as well: memorized diffusion gains over real rows at N = 10, interval below 0": bool(memorized[0] < 0),
        "penalties and shares are those of the pilots": choices(results["pilots"]) == CHOSEN,
    }


def best_share(results):
    """The share of synthetic rows with the least mean nats for each N, of pPCA with flips: 0 is flips alone."""
    arms = [nats(results, arm).mean(axis=0) for arm in ("flips", "pca .25", "pca .5", "pca .75", "pca alone")]
    return np.array([0, *SHARES, 1])[np.argmin(arms, axis=0)]


def kl_of(results):
    """KL of healthy rows, (N, generator), the mean over draws."""
    return results["measures"][..., 1].mean(axis=0)


# ---- the picture ----

LINES = {"real": ("real rows", "#999999"), "flips": ("+ turns", DARK_ORANGE), "hand": ("+ turns, jitter by hand", "#0072B2"),
         "synthesis": ("+ turns, samples of pPCA", COLORS["vae"]), "truth": ("+ turns, true rows", "black")}


def draw(results):
    """Patches; nats against N; gain over flips; share; generators' KL, use and memory."""
    fig = figure(7.8, FINDING, SETTINGS)
    top, middle, bottom = fig.subfigures(3, 1, height_ratios=[0.72, 1.6, 1.5])
    draw_patches(top.subplots(1, 5), results)
    left, right = middle.subplots(1, 2)
    draw_nats(left, results)
    draw_gain(right, results)
    draw_share(*(panels := bottom.subplots(1, 3))[:1], results)
    draw_quality(*panels[1:], results)
    return fig


def draw_patches(axes, results):
    """Four healthy patches above four with a lesion, real and generated from 100 rows a class."""
    for ax, name, title in zip(axes, ("real", "pca", "mixture", "vae", "diffusion"),
                               ("true distribution", "pPCA", "shrunk mixture", "VAE, too few steps", "diffusion")):
        patches = results[f"patches {name}"].reshape(2, 4, SIDE, SIDE)
        tiles = np.full((2, SIDE + 1, 4, SIDE + 1), np.nan)
        tiles[:, :SIDE, :, :SIDE] = patches.transpose(0, 2, 1, 3)
        ax.imshow(tiles.reshape(2 * (SIDE + 1), -1)[:-1, :-1], cmap="gray", vmin=-2, vmax=2.5)
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=9)
        ax.spines[:].set_visible(False)
    axes[0].set_ylabel("lesion  healthy", fontsize=8)


def draw_nats(ax, results):
    """Nats of the main arms against N."""
    sizes = results["sizes"]
    for arm, (label, color) in LINES.items():
        values = synthesis(results) if arm == "synthesis" else nats(results, arm)
        mean, error, _ = paired(values, np.zeros_like(values))
        ax.errorbar(sizes, mean, error, color=color, ls="--" if arm == "truth" else "-", label=label)
    ax.axhline(results["bayes"][:, 0].mean(), color="black", lw=1)
    ax.text(sizes[-1], results["bayes"][:, 0].mean() + 0.004, "Bayes rule", ha="right")
    ax.axhline(np.nanmean(results["ceiling"][:, 0]), color="#666666", lw=1, ls=":")
    ax.text(sizes[-1], np.nanmean(results["ceiling"][:, 0]) + 0.004, "network, 20,000 true rows a class", ha="right", color="#666666")
    ax.set(xscale="log", xlabel="real rows of each class, N", ylabel="nats on test rows", xticks=sizes,
           xticklabels=[f"{n:,}" for n in sizes])
    ax.minorticks_off()
    ax.legend()


def draw_gain(ax, results):
    """Nats minus those of flips, paired, with the crossing."""
    sizes, flips = np.array(results["sizes"], float), nats(results, "flips")
    effect, error, _ = paired(synthesis(results), flips)
    beside, beside_error, _ = paired(nats(results, "diffusion"), synthesis(results))        # in fewer draws
    lines = [(effect, error, "samples of pPCA", COLORS["vae"]),
             (effect + beside, np.hypot(error, beside_error), "samples of diffusion", COLORS["diffusion"])]
    lines += [(*paired(nats(results, arm), flips)[:2], label, color) for arm, label, color in (
        ("smote", "between neighbors (SMOTE)", "#888888"), ("hand", "jitter by hand", "#0072B2"))]
    for i, (effect, error, label, color) in enumerate(lines):
        ax.errorbar(sizes * 1.06 ** (i - 2), effect, error, fmt="o-", ms=3, lw=1, color=color, label=label)
    for i, (arm, label, color) in enumerate((("pca .5", "real slice: pPCA, half the rows", COLORS["vae"]),
                                             ("hand", "real slice: jitter", "#0072B2"))):
        effect, error, _ = paired(*(results["slice"][:, :, SLICE.index(name), 0] for name in (arm, "flips")))
        ax.errorbar(sizes * 1.06 ** (i + 2), effect, error, fmt="o--", ms=4, lw=1, mfc="white", color=color, label=label)
    _, (first, last) = crossing(results)
    ax.axhline(0, color=DARK_ORANGE, lw=1)
    ax.text(sizes[0] * 0.85, 0.001, "turns alone", color=DARK_ORANGE, va="bottom")
    ax.plot([first, last], [0, 0], color=ACCENT, lw=4, solid_capstyle="butt", zorder=5)
    ax.set(xscale="log", xlabel="real rows of each class, N", ylabel="nats more than turns alone", xticks=sizes,
           xticklabels=[f"{int(n):,}" for n in sizes])
    ax.minorticks_off()
    ax.legend(loc="lower right")


def draw_share(ax, results):
    """Nats against the share of synthetic rows, less those without any."""
    arms = ("flips", "pca .25", "pca .5", "pca .75", "pca alone")
    table = np.stack([nats(results, arm).mean(axis=0) for arm in arms])           # (share, N)
    gain = table - table[0]
    for i, n in enumerate(results["sizes"]):
        color = str(0.6 - 0.15 * i)
        ax.plot([0, *SHARES, 1], gain[:, i], color=color)
        ax.plot(best_share(results)[i], gain[:, i].min(), "o", color=COLORS["vae"])
        ax.text(1.03, gain[-1, i], f"N = {n:,}" if i == 0 else f"{n:,}", color=color, va="center")
    ax.set(xlabel="share of synthetic rows (dot: best)", ylabel="nats more than turns alone", xticks=[0, 0.5, 1],
           xlim=(-0.04, 1.35))


def draw_quality(left, right, results):
    """KL of the generators, all of it and that of p(y | x); membership AUC."""
    sizes, measures = results["sizes"], results["measures"].mean(axis=0)          # (N, generator, measure)
    shown = (("pca", "pPCA", COLORS["vae"]), ("mixture", "shrunk mixture", COLORS["mixture"]),
             ("diffusion", "diffusion", COLORS["diffusion"]), ("vae", "VAE", "#00664B"),
             ("diffusion, memorized", "diffusion,\nno turns", ACCENT))
    for name, label, color in shown:
        j = GENERATORS.index(name)
        if j < 3:
            left.plot(sizes, measures[:, j, 0], "o-", ms=3, color=color)
            left.plot(sizes, measures[:, j, 2], "o--", ms=3, color=color)
        right.plot(sizes, measures[:, j, 4], "o-", ms=3, color=color, label=label)
    left.set(xscale="log", yscale="log", xlabel="N", ylabel="nats", title="KL (dashed: of p(y | x))")
    right.axhline(0.5, color="#999999", lw=0.8)
    right.set(xscale="log", xlabel="N", ylabel="AUC of membership", title="training rows recognized")
    right.legend()
