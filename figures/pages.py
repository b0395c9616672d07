"""The pages that are made from stored results: figures/README.md, and the blocks of the README between marks.

A block stands between <!-- NAME --> and <!-- end NAME -->.  NAME is "pictures" (those that the README
shows), "map" (the chapter's headings), "cases" (the case studies), "cost" (of computing everything), or a
figure with readme(results).
"""
import re

from figures import runner, store

# The figures that the README shows beside the ledger, with their claims.
PICTURES = ("price",)
CASES = ("mri_augmentation", "latent_diffusion", "latent_uses", "latent_space", "waveforms", "wave_clips")

# What belongs to each heading of the chapter: files, and figures beyond those of its section.
PLACES = {
    "1": "README.md scratch/README.md",
    "1.1": "scratch/data/README.md",
    "1.2": "scratch/family_tree.py scratch/implicit/diffusion/completion.py",
    "1.3": "scratch/explicit/autoregressive.py scratch/explicit/vae.py scratch/implicit/gan.py "
           "scratch/implicit/diffusion/denoiser.py",
    "1.4": "scratch/discriminative/README.md",
    "1.5": "scratch/implicit/diffusion/README.md scratch/implicit/dirac_gan.py",
    "figures": "figures/README.md",
    "figure 1.1": "scratch/discriminative/generative_classifier.py",
    "figure 1.2": "scratch/family_tree.py",
    "case": "scratch/data/tissue.py scratch/implicit/diffusion/latent_diffusion.py scratch/implicit/wave_gan.py",
    "loop": "scratch/learning/training.py",
    "key": "scratch/divergence/README.md",
}
PICTURED = {"1": "ledger", "figures": "audit", "figure 1.1": "generative_and_discriminative", "figure 1.2": "family_tree"}


def line(name):
    """What --list says of a figure."""
    if name in runner.waiting():
        return f"{name}\n    never computed: python -m figures {name} --studies"
    try:
        made = runner.stored(name)[1]
    except (OSError, ValueError) as error:
        return f"{name}\n    {type(error).__name__}: no result"
    stale = "fresh" if runner.is_fresh(name) else "STALE: the code has changed since"
    return f"{name}\n    {runner.load(name).FINDING}\n    {made['seconds']:.0f} s on {made['date']}, {stale}"


def gallery():
    """The text of figures/README.md: every figure by section of the chapter, with what it found and how it was made."""
    text = ["# Figures\n\nThis page is written by `python -m figures`. Every number comes from a stored result. "
            "The seconds are processor time.\n"]
    modules = {name: runner.load(name) for name in runner.names() if name not in runner.waiting()}
    for section, title in runner.SECTIONS.items():
        chosen = [name for name, module in modules.items() if section == module.SECTION]
        if chosen:
            text += [f"\n## {title}\n\n| figure | what it found | seeds | made |\n|---|---|---|---|\n"]
            text += [_row(name, modules[name]) for name in chosen]
    if runner.waiting():
        text += [f"\nStudies that were never computed (`python -m figures --studies`): {', '.join(runner.waiting())}.\n"]
    return "".join(text)


def _row(name, module):
    results, made = runner.stored(name)
    versions = f"Python {made['python']}, NumPy {made['numpy']}, SciPy {made['scipy']}"
    later = f", same bits at {made['confirmed']['commit']}" if "confirmed" in made else ""
    return (f"| [![{name}](rendered/{name}.png)](rendered/{name}.png) | **{module.FINDING}** {module.claim(results)} "
            f"({name}) | {int(results['seeds'])} | {made['seconds']:.0f} s, {made['date']}, {versions}, "
            f"commit {made['commit']}{later} |\n")


def readme(text):
    """The README's text with its blocks made anew."""
    def block(match):
        name = match.group(1)
        blocks = {"pictures": _pictures, "map": _map, "cases": _cases, "cost": _cost}
        made = blocks[name]() if name in blocks else runner.load(name).readme(runner.stored(name)[0])
        return f"<!-- {name} -->\n{made.strip()}\n<!-- end {name} -->"
    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end \1 -->", block, text, flags=re.DOTALL)


def _pictures():
    rows = []
    for name in PICTURES:
        module = runner.load(name)
        rows.append(f"![{module.FINDING}](figures/rendered/{name}.png)\n\n{module.claim(runner.stored(name)[0])}\n")
    return "\n".join(rows)


def anchor(heading):
    """The name by which GitHub links to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _map():
    """A row for each heading of the chapter: where it is in the code, in the figures, and in the audit."""
    audit, (results, _) = runner.load("audit"), runner.stored("audit")
    lines = ["| the chapter | files | figures | verdicts |", "|---|---|---|---|"]
    for key, (chinese, english) in audit.HEADINGS.items():
        files = ", ".join(f"[{file.removesuffix('/README.md').removeprefix('scratch/')}]({file})"
                          for file in PLACES[key].split())
        lines.append(f"| {chinese} ({english}) | {files} | {_figures_of(key)} | {_verdicts_of(key, results)} |")
    return "\n".join(lines)


def _figures_of(key):
    """Links to the figures of a heading: its own picture, or its section of figures/README.md."""
    if key in PICTURED:
        return f"[{PICTURED[key]}](figures/rendered/{PICTURED[key]}.png)"
    many = sum(runner.load(name).SECTION == key for name in runner.names() if name not in runner.waiting())
    return f"[{many} in figures/README.md](figures/README.md#{anchor(runner.SECTIONS[key])})"


def _verdicts_of(key, results):
    """How many sentences of a heading hold, in part or at all: those of section 1.x, or of a heading in Chinese."""
    audit = runner.load("audit")
    own = [kind for number, kind in zip(results["asked"], results["verdicts"])
           if audit.SENTENCES[number].section in (key, audit.HEADINGS[key][0].split(":")[0])]
    return ", ".join(f"{own.count(kind)} {name}" for kind, name in enumerate(audit.VERDICTS) if own.count(kind))


def _cases():
    """A line for each of CASES, finding, claim and a link to its picture; then the sounds, if there are any."""
    lines = [f"- **{runner.load(name).FINDING}.** {runner.load(name).claim(runner.stored(name)[0])} "
             f"([{name}](figures/rendered/{name}.png))" for name in CASES]
    sounds = sorted(path.stem for path in (store.HERE / "rendered").glob("*.wav"))
    listen = ", ".join(f"[{name.replace('_', ' ')}](figures/rendered/{name}.wav)" for name in sounds)
    return "\n".join(lines + [f"- To hear: {listen}."] * bool(sounds))


def _cost():
    """Processor time of the studies, and of the other figures, on the machine that made them."""
    minutes = {True: 0.0, False: 0.0}
    for name in runner.names():
        if name in runner.waiting():
            continue
        _, made = runner.stored(name)
        minutes[runner.is_study(runner.load(name))] += made["seconds"] / 60
    return (f"On one core of the machine that made the stored results ({made['processor']}) the studies took "
            f"{minutes[True]:.0f} minutes of processor time in all, the other figures {minutes[False]:.1f}.")


def write():
    """Write both pages."""
    store.write(store.HERE / "README.md", lambda file: file.write(gallery().encode()))
    path = store.HERE.parent / "README.md"
    text = readme(path.read_text(encoding="utf-8"))
    store.write(path, lambda file: file.write(text.encode()))
