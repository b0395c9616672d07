"""scratch/REFERENCES.md lists the works that the code cites, all of them and no others, and the files that cite each."""
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = sorted(path for folder in ("scratch", "figures", "tests") for path in (ROOT / folder).rglob("*.py")
               if path != Path(__file__))
NAME = r"[A-Z][\w'-]*[a-z](?:-[A-Z]\w+)?"
AUTHORS = rf"{NAME}(?:, {NAME})*(?:,? and {NAME}| et al\.)?"
CITATION = re.compile(rf'({AUTHORS}) \(?((?:18|19|20)\d\d)\b[),:]*(?: "([^"]{{4,}})")?')
NO_AUTHORS = {"In", "Of", "Since"}                           # "In 2014 z ~ N(0, I)"


def citations(text):
    """[(key, title or "")] of a text: "Author year" as it stands there, and a quoted title behind it."""
    text = re.sub(r"\s*\n\s*#?\s*", " ", text)              # a citation across two lines
    return [(f"{authors} {year}", title) for authors, year, title in CITATION.findall(text)
            if authors not in NO_AUTHORS]


def place(path):
    """The name of a file on the page: files of scratch/ from there, others from the root."""
    path = path.relative_to(ROOT)
    return str(path.relative_to("scratch") if path.parts[0] == "scratch" else path)


def letters(title):
    return re.sub(r"[^a-z0-9]", "", title.lower())


CITED = {place(path): citations(path.read_text(encoding="utf-8")) for path in FILES}
PAGE = (ROOT / "scratch/REFERENCES.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines() if re.match(r"\| .* (18|19|20)\d\d \|", line)]


def test_a_citation_is_seen_in_every_form():
    text = ('(Ba, Kiros and Hinton 2016, "Layer\nnormalization", eqs. 3), Wilson (1927, "Probable"), '
            "Fan, Chen and Lin 2005; Jolicoeur-Martineau 2019, and\n# Song et al. 2021.  In 2014 nothing, n = 2000")
    assert citations(text) == [("Ba, Kiros and Hinton 2016", "Layer normalization"), ("Wilson 1927", "Probable"),
                               ("Fan, Chen and Lin 2005", ""), ("Jolicoeur-Martineau 2019", ""), ("Song et al. 2021", "")]


def test_all_works_that_are_cited_stand_on_the_page_and_no_others():
    assert {key for found in CITED.values() for key, _ in found} == {row[0] for row in ROWS}


def test_the_rows_are_in_alphabetic_order_and_say_where_to_find_each_work():
    assert [row[:2] for row in ROWS] == sorted(row[:2] for row in ROWS)
    for key, title, where, files in ROWS:
        assert title and where and files, key


def test_a_quoted_title_is_the_beginning_of_the_one_on_the_page():
    for file, found in CITED.items():
        for key, title in found:
            assert any(letters(row[1]).startswith(letters(title)) for row in ROWS if row[0] == key), (file, key, title)


def test_each_row_names_the_files_that_cite_the_work():
    """A key of several works: those with its title, or with no title of any of them."""
    for key, title, _, files in ROWS:
        keys = [row[0] for row in ROWS]
        named, expected, possible = set(re.findall(r"`([\w/.]+)`", files)), set(), set()
        for file, found in CITED.items():
            titles = {letters(quoted) for cited, quoted in found if cited == key}
            if any(letters(title).startswith(quoted) for quoted in titles - {""}) or titles and keys.count(key) == 1:
                expected.add(file)
            if titles == {""}:
                possible.add(file)
        assert expected <= named <= expected | possible, (key, title, named, expected)
