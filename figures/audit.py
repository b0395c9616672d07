"""The sentences of the chapter that can be true or false, each with a hypothesis, its effect and a verdict."""
import textwrap
from typing import Callable, NamedTuple

import numpy as np

from figures import ledger, runner
from figures.case_studies import latent_diffusion, mri_augmentation, wave_clips, waveforms
from figures.style import COLORS, DARK_ORANGE, figure
from scratch.family_tree import BRANCHES, HEADINGS, MODELS      # noqa: F401 (HEADINGS for pages.py)

SECTION = "1.5"
FINDING = "Half of the chapter's sentences hold only in part"
SETTINGS = "Each verdict is computed from the stored result of the figure in brackets, where seeds and errors stand. +-: 1 s.e."

VERDICTS = ("supported", "partly", "not supported")


class Sentence(NamedTuple):
    """A sentence of the chapter.  judge(results of the figure) -> (which parts of the hypothesis hold, the effect)."""
    section: str
    chinese: str
    english: str
    hypothesis: str
    figure: str
    judge: Callable


def verdict(parts):
    """0 if all parts of a hypothesis hold, 2 if none does, 1 else."""
    return 0 if all(parts) else 1 if any(parts) else 2


def within(value, error):
    """A mean over seeds and its standard error, as text."""
    return f"{value:.3f} +- {error:.3f}"


# ---- the judges ----

def new_samples(results):
    near = ledger.road(results, "neighbors")[0].mean(axis=2)
    four, rest = np.nanmax(near[:, :4]), np.nanmax(near[:, 4:])
    return [four < 0.2, rest < 0.2], (f"the worst of {len(near)} families: {four:.2f} nats on four mixtures, {rest:.1f} on "
                                      f"the three other distributions")


def copies(results):
    share, sizes = 100 * results["copies"][:, :, 2].mean(axis=1), results["sizes"]
    return [share[0] < 10, share[-1] < 10], (
        f"copies: {share[0]:.0f} % of the samples for {sizes[0]} rows, {share[-1]:.0f} % for {sizes[-1]}")


def density(results):
    off = np.abs(results["mass"] - 1)
    return [(off.max(axis=1) > 0.01).any()], f"all {len(off)} families have one, of mass 1 within {off.max():.4f}"


def codes(results):
    back = results["reconstruction"].mean(axis=1)
    return list(back < 0.2), (f"a point comes back within {back[0]:.1g} (autoregressive), {back[3]:.1g} (diffusion), "
                              f"{back[1]:.2f} (VAE); a GAN has no code")


def implicit(results):
    kl = results["kl"][3, :, 1]
    error = kl.std(ddof=1) / np.sqrt(len(kl))
    return [not np.isfinite(kl).all()], f"its exact likelihood misses {kl.mean():.4f} +- {error:.4f} nats"


def stability(results):
    modes = {name: results[f"grid {method}"][:, -1, 1] for name, method in (
        ("diffusion", "diffusion"), ("plain GAN", "plain GAN (2014)"), ("relativistic GAN", "relativistic + R1 + R2"))}
    most = max(values.max() for values in modes.values())
    told = ", ".join(f"{name} {values.mean():.1f} +- {values.std(ddof=1) / np.sqrt(len(values)):.1f}"
                     for name, values in modes.items())
    lost = [modes[name].mean() < 0.98 * most for name in ("plain GAN", "relativistic GAN")]
    return [(modes["diffusion"] == most).all(), *lost], f"modes held of {most:.0f}: {told}"


def theory(results):
    value, error = np.moveaxis(results["kls"], 2, 0)
    far = np.abs(value / error).max()
    return [far < 5], f"{value.size} KLs between SDE, ODE and the exact distribution, at most {far:.1f} standard errors"


def quality(results):
    families = [str(family) for family in results["families"]]
    means = {family: ledger.mean(results, family) for family in families}
    others = [family for family in families if family not in ("diffusion", "DDPM", "flow matching", "mixture by EM")]
    told = ", ".join(f"{family} {means[family]:.4f}" for family in ["diffusion", *others])
    return [means["diffusion"] < means[family] for family in others], f"mean KL on four distributions: {told} nats"


def common_objective(results):
    """Which classes have the KL, or a bound on it, as their loss."""
    kinds = generative()
    exact = sum(MODELS[name].exact for name in kinds)
    bound = sum(not MODELS[name].exact and hasattr(MODELS[name].model, "elbo") for name in kinds)
    return [exact + bound == len(kinds), exact > 0], (
        f"of {len(kinds)} classes {exact} minimize it, {bound} a bound; GANs play a game, the others fit a mean square")


def sampling_in_the_loop(results):
    kinds = generative()
    sampling = [name for name in kinds if hasattr(MODELS[name](), "players")]
    return [len(sampling) == len(kinds), len(sampling) > 0], (
        f"true of {len(sampling)} of {len(kinds)} classes: {', '.join(sampling)}")


def generative():
    """The names of the classes below "generative models"."""
    def below(branch):
        return branch is not None and (branch == "generative models" or below(BRANCHES[branch][1]))
    return [name for name, entry in MODELS.items() if below(entry.branch)]


def completed(results):
    (_, _), (replaced, error), _, (repainted, other), *_ = results["exact"]
    return [replaced < 0.02, repainted < 0.02], (
        f"replacement {within(replaced, error)}, RePaint {within(repainted, other)} nats")


def augmented(results):
    (n, few), *_, (m, many) = mri_augmentation.effects(results).items()
    jitter = mri_augmentation.effects(results, "hand")
    return [effect < 0 and p < 0.05 for effect, _, p in (few, many)], (
        f"{within(*few[:2])} nats at {n} rows a class ({within(*jitter[n][:2])} by jitter), "
        f"{many[0]:+.3f} +- {many[1]:.3f} at {m:,}")


def stylized(results):
    seen, held = (latent_diffusion.at(results, pairs, latent_diffusion.DOUBLE).mean() for pairs in ("seen", "held"))
    return [seen > 0.95, held > 0.95], f"{seen:.0%} of pictures, {held:.0%} for pairs of words that no prompt had"


def speech(results):
    (given, _), (made, _) = (wave_clips.vowels(results, kind) for kind in ("source-filter", "plain"))
    own, real = (np.median(results[key]) for key in ("plain periodicity", "real_periodicity"))
    _, typical = waveforms.means(runner.stored("waveforms")[0])["wave gan"]
    return [typical > 0.3, (made == 10).all() and own > real - 0.1], (
        f"periods: {typical:.0%} typical; clips: {made.mean():.1f} of 10 vowels, correlation one period later {own:.2f} "
        f"(real {real:.2f}); if told the source {given.mean():.1f} vowels")


def sounds(results):
    found = waveforms.means(results)
    nats, typical = (min(found, key=lambda name: sign * found[name][i]) for i, sign in ((0, 1), (1, -1)))
    own = found["diffusion"]
    return [nats == "diffusion", typical == "diffusion"], (
        f"diffusion {own[0]:.1f} nats and {own[1]:.0%} typical; nearest: {waveforms.LABELS[nats]} {found[nats][0]:.1f}; "
        f"most typical: {waveforms.LABELS[typical]} {found[typical][1]:.0%}")


def boundary(results):
    excess = 100 * results["excess"]
    mean, error = excess.mean(axis=0), excess.std(axis=0, ddof=1) / np.sqrt(len(excess))
    return [mean[3] < 0.5, mean[2] < 0.5], (f"above the Bayes error: densities {mean[3]:.2f} +- {error[3]:.2f} points, "
                                            f"network {mean[2]:.2f} +- {error[2]:.2f}")


SENTENCES = (
    Sentence("1.2", "从噪声或潜在空间中生成与训练数据相似的新样本", "Generation of samples like the training data",
             "samples of every family are within 0.2 nats (by neighbors), on mixtures and on others", "ledger", new_samples),
    Sentence("1.2", "新样本", "The samples are new", "at most 10 % copies, with few rows and with many", "memorization", copies),
    Sentence("1.2", "密度估计(部分模型支持)", "Density estimation, in part of the models",
             "in the plane some family has no density", "three_abilities", density),
    Sentence("1.2", "隐变量建模", "Latent variables", "each family has a code that gives a point back", "three_abilities", codes),
    Sentence("1.3", "隐式密度模型: 扩散模型", "Diffusion models have no explicit density",
             "the density of diffusion cannot be computed", "three_abilities", implicit),
    Sentence("1.4", "生成模型: 学习数据分布; 判别模型: 学习决策边界",
             "Generative models learn the distribution, discriminative ones the boundary",
             "both ways reach the Bayes rule within half a point", "generative_and_discriminative", boundary),
    Sentence("1.4", "补全", "Completion by generative models",
             "completions follow p(x2 | x1) within 0.02 nats, whatever the method", "completion", completed),
    Sentence("1.5", "训练稳定性: 避免GANs中的模式崩溃问题", "Diffusion avoids the mode collapse of GANs",
             "at equal cost (12 s) diffusion keeps all modes in all runs, GANs of 2014 and of 2024 lose some",
             "mode_collapse", stability),
    Sentence("1.5", "理论严谨性: 基于随机微分方程和概率论", "Rigor: diffusion rests on stochastic differential equations",
             "the reverse SDE and the ODE have the exact distribution at every time", "sde_and_ode", theory),
    Sentence("1.5", "高质量生成", "High quality of diffusion", "diffusion is nearer to the data than each other family", "ledger", quality),
    Sentence("1.5", "高质量生成: 音频", "High quality of diffusion in audio",
             "on periods of vowels diffusion is nearest to the data, and most typical", "waveforms", sounds),
    Sentence("案例研究", "生成合成MRI图像以扩充稀缺数据集", "Synthetic MRI enlarges scarce data sets",
             "synthetic rows help a classifier, with few real rows and with many", "mri_augmentation", augmented),
    Sentence("案例研究", "Stable Diffusion生成风格化图像", "Stable Diffusion makes stylized pictures",
             "in miniature, all words of the prompt are right in 95 %, also of new pairs", "latent_diffusion", stylized),
    Sentence("案例研究", "WaveGAN生成逼真语音片段", "WaveGAN makes realistic clips of speech",
             "in miniature, periods are typical; clips have all ten vowels and are as periodic as real ones", "wave_clips", speech),
    Sentence("关键公式", "生成模型的核心是最小化 KL(p_data || p_θ)", "All generative models minimize KL(p_data || p_theta)",
             "the loss of every class is the KL, or a bound on it", "key_formula", common_objective),
    Sentence("代码示例", "x_fake = model.sample()", "The generic loop draws samples of the model in every step",
             "every class does so", "key_formula", sampling_in_the_loop),
)


def compute(effort, rng):
    """Verdict (sentences,), effect in words, and the number of seeds behind it."""
    rows = []
    for number, sentence in enumerate(SENTENCES):
        if sentence.figure not in runner.waiting():
            results, _ = runner.stored(sentence.figure)
            parts, effect = sentence.judge(results)
            rows.append((number, verdict(parts), effect, int(results["seeds"])))
    asked, verdicts, effects, seeds = zip(*rows)
    return dict(seeds=max(seeds), asked=asked, verdicts=verdicts, effects=effects, behind=seeds)


def _table(results):
    """(sentence, verdict, effect, seeds) of each row."""
    return [(SENTENCES[number], kind, str(effect), int(seeds)) for number, kind, effect, seeds in
            zip(results["asked"], results["verdicts"], results["effects"], results["behind"])]


def claim(results):
    """How many of each verdict."""
    many = np.bincount(results["verdicts"], minlength=3)
    return f"Of {many.sum()} sentences {many[0]} hold, {many[1]} hold in part, and {many[2]} do not hold at this size."


def checks(results):
    """The headline, and that the table is that of today's sentences."""
    many = np.bincount(results["verdicts"], minlength=3)
    return {"a third to two thirds hold in part": bool(1 / 3 <= many[1] / many.sum() <= 2 / 3),
            "a row for each sentence whose figure is computed": len(results["asked"]) == sum(
                sentence.figure not in runner.waiting() for sentence in SENTENCES)}


def readme(results):
    """The table of the README."""
    lines = ["| the chapter | tested hypothesis | effect | seeds | verdict | figure |", "|---|---|---|---|---|---|"]
    for sentence, kind, effect, seeds in _table(results):
        cells = (f"{sentence.section} {sentence.english} ({sentence.chinese})", sentence.hypothesis, effect, str(seeds),
                 f"**{VERDICTS[kind]}**", f"[{sentence.figure}](figures/rendered/{sentence.figure}.png)")
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def draw(results):
    """A row a sentence: what was said, the effect, the verdict."""
    fig = figure(0.46 * len(results["asked"]) + 0.7, FINDING, SETTINGS)
    ax = fig.subplots()
    colors = (COLORS["autoregressive"], DARK_ORANGE, COLORS["gan"])
    for row, (sentence, kind, effect, _) in enumerate(_table(results)):
        ax.text(0, -row, textwrap.fill(sentence.english, 46), va="center", fontsize=9)
        ax.text(3.55, -row, textwrap.fill(f"{effect} [{sentence.figure}]", 66), va="center", fontsize=8, color="#444444")
        ax.text(8.9, -row, VERDICTS[kind], va="center", ha="right", fontsize=9, color=colors[kind], fontweight="bold")
        ax.axhline(-row - 0.5, color="#DDDDDD", lw=0.6)
    ax.set(xlim=(0, 8.9), ylim=(-len(results["asked"]) + 0.45, 0.6))
    ax.axis("off")
    return fig
