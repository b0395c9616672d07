"""The pages that are made from stored results: figures/README.md, and the blocks of the README between marks.

A block stands between <!-- NAME --> and <!-- end NAME -->.  NAME is "pictures" (those that the README
shows), "cost" (of computing everything), or a figure with readme(results).
"""
import re

from figures import runner, store

# The figures that the README shows below the ledger, in this order.
PICTURES = ("key_formula", "three_abilities", "generative_and_discriminative", "mode_collapse", "diffusion_process",
            "mri_augmentation", "adam_hides")


def line(name):
    """What --list says of a figure."""
    try:
        made = runner.stored(name)[1]
    except (OSError, ValueError) as error:
        return f"{name}\n    {type(error).__name__}: no result"
    stale = "fresh" if runner.is_fresh(name) else "STALE, made by other code"
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
        blocks = {"pictures": _pictures, "cost": _cost}
        made = blocks[name]() if name in blocks else runner.load(name).readme(runner.stored(name)[0])
        return f"<!-- {name} -->\n{made.strip()}\n<!-- end {name} -->"
    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end \1 -->", block, text, flags=re.DOTALL)


def _pictures():
    rows = []
    for name in PICTURES:
        module = runner.load(name)
        rows.append(f"![{module.FINDING}](figures/rendered/{name}.png)\n\n{module.claim(runner.stored(name)[0])}\n")
    return "\n".join(rows)


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
