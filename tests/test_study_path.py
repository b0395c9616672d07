"""The study path and its exercises: each command prints what the page says, and each exercise has an answer."""
import contextlib
import io
import re
from pathlib import Path

import pytest

from exercises.stops import PAGE, stops

ROOT = Path(__file__).parent.parent
STOPS = stops()
EXERCISES = (ROOT / "exercises" / "README.md").read_text(encoding="utf-8")
# Stops that train, and by how much their numbers may differ, relative: training amplifies rounding.
TRAINED = {"4": 0.02, "5": 0.02, "6": 0.5, "8": 0.5, "9": 0.5}
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")


def differences(found, said):
    """For each number (difference, unit of its last decimal or 0, size); the text around them must be the same."""
    assert NUMBER.sub("#", found) == NUMBER.sub("#", said)
    pairs = zip(NUMBER.findall(found), NUMBER.findall(said))
    return [(abs(float(a) - float(b)), ("." in b) * 10.0 ** -len(b.partition(".")[2]), abs(float(b))) for a, b in pairs]


def check(number):
    """Run a stop as `python -m exercises` does, and compare what it prints with the page."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(STOPS[number].code, f"stop {number}", "exec"), {})
    for difference, unit, size in differences(printed.getvalue(), STOPS[number].printed):
        assert difference <= 1.01 * unit + TRAINED.get(number, 0) * size, printed.getvalue()


@pytest.mark.parametrize("number", [number for number in STOPS if number not in TRAINED or number == "5"])
def test_a_stop_prints_what_the_page_says(number):
    check(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", [number for number in TRAINED if number != "5"])
def test_a_stop_that_trains_prints_nearly_what_the_page_says(number):
    check(number)


def test_a_changed_word_or_digit_is_found():
    for found, said in (("KL 0.52 nats", "KL 0.54 nats"), ("44 rows", "45 rows")):
        assert max(difference > 1.01 * unit for difference, unit, _ in differences(found, said))
    with pytest.raises(AssertionError):
        differences("KL 0.52 nats", "KL 0.52 bits")


def test_there_are_twelve_stops_whose_hours_and_commands_are_those_of_their_places():
    page = PAGE.read_text(encoding="utf-8")
    assert list(STOPS) == [str(number) for number in range(1, 13)]
    assert re.findall(r"^    python -m exercises (\d+)$", page, re.MULTILINE) == list(STOPS)
    hours = [int(hours) for hours in re.findall(r"^\*\*Question\*\* \((\d+) hours\)", page, re.MULTILINE)]
    rows = re.findall(r"^\| \[(\d+)\. (.*?)\]\(#.*?\) \| (\d+) \| .*? \|$", page, re.MULTILINE)
    assert [(number, title, int(h)) for number, title, h in rows] == [
        (number, stop.title, h) for (number, stop), h in zip(STOPS.items(), hours)]
    assert f"Twelve stops, {sum(hours)} hours" in page


def test_the_readme_has_the_same_table():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](scratch/README.md#", "](#")
    table = re.search(r"^\| stop \| hours .*?\n\n", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL).group()
    assert table in readme


@pytest.mark.parametrize("number", STOPS)
def test_every_test_that_a_stop_names_is_in_the_default_run(number):
    assert STOPS[number].tests
    for test in STOPS[number].tests:
        file, name = re.sub(r"\[.*", "", test).split("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        above = text.partition(f"\ndef {name}(")[0]
        assert above != text and "slow" not in above.rsplit("\n\n", 1)[-1], test


@pytest.mark.parametrize("number", STOPS)
def test_every_exercise_has_an_answer(number):
    part = re.search(rf"^## {number}\. (.*?)\n(.*?)(?=^## |\Z)", EXERCISES, re.MULTILINE | re.DOTALL)
    assert part.group(1) == STOPS[number].title
    assert re.findall(r"^(\d)\. \*(\w+)\.\*", part.group(2), re.MULTILINE) == [
        ("1", "Derive"), ("2", "Plant"), ("3", "Change")]
    answers = (ROOT / "tests" / "exercises" / f"test_stop_{int(number):02}.py").read_text(encoding="utf-8")
    for exercise in "123":
        assert f"{number}_{exercise}(" in answers


def test_the_example_of_the_exercises_prints_what_it_says(capsys):
    exec(re.search(r"```python\n(.*?)```", EXERCISES, re.DOTALL).group(1), {})
    said = re.search(r"It prints `(.*?)` and `(.*?)`", EXERCISES).groups()
    assert tuple(capsys.readouterr().out.split("\n")[:2]) == said
