"""What the tests of this project say about a change, and what the pages of known bugs say about a bug."""
from tests.known_bugs.plant import complaint, exhibits, planted


def judged(file, *changes, tests):
    """Plant (text, what stands there instead) into a file, in memory; for each test, whether it stays green."""
    with planted({file: list(changes)}):
        return [complaint(test) is None for test in tests]


def names(tests):
    """The names of tests without their files."""
    return [test.split("::")[1] for test in tests]


def form(bug, number):
    """A form of a known bug, counted from 1; test_known_bugs.py sees that its lists of red and blind tests are true."""
    return next(exhibit for exhibit in exhibits() if exhibit.bug == bug).plants[number - 1]
