"""The page: every kind of block is shown, nothing that a user wrote becomes markup, and scripts are scripts."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import plotly.graph_objects as go
import polars as pl
import pytest

from ionmelt.report import page as report_page
from ionmelt.report.blocks import (
    Block,
    Folded,
    Frames,
    Heading,
    Line,
    Matrix,
    Note,
    Nothing,
    Plot,
    RowOfModel,
    Section,
    Sentences,
    Source,
    StateOfModels,
    Table,
)
from ionmelt.report.marks import BROKE, MARKS
from ionmelt.report.packed import unpacked
from ionmelt.report.results import Results
from ionmelt.report.sections import SECTIONS
from ionmelt.report.structures import Structure

FILES = Path(report_page.__file__).parent
BAD = "<i>&"


def shown(monkeypatch: pytest.MonkeyPatch, *sections: Section) -> str:
    """Return the page of these sections, without plotly.js."""
    monkeypatch.setattr(report_page, "SECTIONS", sections)
    monkeypatch.setattr(report_page, "plotly_js", lambda: "")
    nothing = pl.DataFrame(schema={"model": pl.String, "dataset": pl.String})
    tables = dict.fromkeys(("summary", "survival", "errors"), nothing)
    return report_page.page(Results(tables, {"name": BAD, "models": [], "liquids": []}, {}))


def figures_of(page: str) -> dict[str, dict]:
    """Return the figures that a page carries, by name."""
    return json.loads(unpacked(re.findall('<script id="figures" type="text/plain">(.*?)</script>', page)[0]))


def test_every_kind_of_block_has_a_macro() -> None:
    macros = set(re.findall(r"macro (\w+)\(block\)", (FILES / "page.html").read_text()))
    assert {block.kind for block in get_args(Block)} == macros


def test_names_of_sections_are_unique() -> None:
    assert len({section.id for section in SECTIONS}) == len(SECTIONS)


def test_what_a_user_wrote_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table([BAD], [[BAD], [BAD * 60]], "x")
    row = RowOfModel(BAD, "#000000", [[Line(BAD, BROKE, BAD + '"', BAD)]], ())
    blocks = [
        Matrix([BAD], [StateOfModels(BAD, row, [row])], MARKS),
        Heading(BAD),
        Note(BAD),
        Sentences([BAD]),
        Nothing(BAD),
        Source(BAD),
        Folded(BAD, [table]),
        Plot("x", None, BAD),
    ]
    page = shown(monkeypatch, Section("a", BAD, BAD, lambda results: blocks))
    assert "<i>" not in page
    assert page.count("&lt;i&gt;&amp;") > 60


def test_figures_in_folded_blocks_are_drawn_and_empty_sections_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = go.Figure(go.Scatter(x=["</script>"], y=[1]))
    page = shown(
        monkeypatch,
        Section("full", "Full", "Full", lambda results: [Folded("more", [Plot("inner", figure, "a figure")])]),
        Section("empty", "Empty", "Empty", lambda results: []),
    )
    assert '<div id="fig-inner"' in page and list(figures_of(page)) == ["inner"]
    assert figures_of(page)["inner"]["data"][0]["x"] == ["</script>"]
    assert 'id="full"' in page and '"empty"' not in page and "Empty" not in page


def test_a_section_is_a_line_and_a_figure_until_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = go.Figure(go.Scatter(x=[1], y=[1]))
    blocks = [
        Note("how to read it"),
        Plot("none", None, ""),
        Plot("first", figure, ""),
        Plot("second", figure, ""),
        Table(["n"], [["17"]]),
    ]
    page = shown(
        monkeypatch,
        Section(
            "said",
            "Said",
            "Said",
            lambda results: blocks,
            lambda results: ["One is best.", "Two is not.", "Three broke."],
        ),
        Section("mute", "Mute", "Mute", lambda results: [*blocks[:2], Plot("third", figure, "")]),
        Section("void", "Void", "Void", lambda results: [Note("how to read it"), Table(["n"], [])]),
        Section(
            "bare", "Bare", "Bare", lambda results: [Note("how to read it"), blocks[1]], lambda results: ["None ran."]
        ),
        Section("open", "Open", "Open", lambda results: blocks, is_folded=False),
    )
    said, mute, void, bare, whole = re.findall(r"<section.*?</section>", page, re.S)
    front, rest = said.split('<details class="rest">')
    assert "<p>One is best. Two is not.</p>" in front and 'id="fig-first"' in front
    assert (
        "<p>Three broke.</p>" in rest
        and "how to read it" in rest
        and 'id="fig-second"' in rest
        and ">17<" in rest
        and 'id="fig-first"' not in rest
    )
    assert "how to read it" in mute.split("<details")[0] and 'id="fig-third"' in mute.split("<details")[0]
    assert "There is nothing to show." in void and "<details" not in void and "how to read it" not in void
    assert "None ran." in bare and "<details" not in bare
    assert "<details" not in whole and 'id="fig-second"' in whole


LONG = (
    "One is best in 8 of 12 (off by 0.1 [−0.2, 0.4] kg/m³): "
    + "; ".join(f"number {i} of twelve" for i in range(12))
    + "."
)

LEVELS = (
    "First of them all is near to the truth (off by 240 [−1274, 794; 90 %] kg/m³), the second of them all is nearer to it (off by 200 [−695, 295; 90 %] "
    "kg/m³) and the third of them (off by 103 [−488, 693; 90 %] kg/m³): all are within."
)


@pytest.mark.parametrize(
    ("lines", "front"),
    [
        ([LEVELS], LEVELS[: LEVELS.index(" (off by 103")] + " …"),
        ([LONG], "One is best in 8 of 12 (off by 0.1 [−0.2, 0.4] kg/m³): number 0 of twelve;"),
        (["Short.", LONG], "Short."),
        ([LONG.replace(";", "").replace(":", "").replace(" (", " ")], "One is best in 8 of 12 off by 0.1"),
        (["x" * 190 + "."], "x" * 190 + "."),
        (["Bold: this. Pale: that. All of it."], "Bold: this. Pale: that. All of it."),
    ],
)
def test_what_a_folded_section_says_is_short_and_stands_whole_below(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], front: str
) -> None:
    """Sentences of the tables and paragraphs of the report alike."""
    figure = go.Figure(go.Scatter(x=[1], y=[1]))
    by_lines = Section("a", "A", "A", lambda results: [Plot("first", figure, ""), Note("how")], lambda results: lines)
    by_note = Section("b", "B", "B", lambda results: [Note(" ".join(lines)), Plot("second", figure, "")])
    for section in (by_lines, by_note):
        page = shown(monkeypatch, section)
        (whole,) = re.findall(r"<section.*?</section>", page, re.S)
        seen, _, rest = whole.partition('<details class="rest">')
        (said,) = re.findall(r"<p[^>]*>(.*?)</p>", seen)
        assert said.startswith(front) and len(said) <= 202
        assert said.endswith("…") is (said.removesuffix(" …") not in lines)
        assert all(line in seen + rest for line in lines)


def test_what_stands_in_a_section_is_not_said_above_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Plot("first", go.Figure(go.Scatter(x=[1], y=[1])), "")
    blocks = [figure, Heading("Was it worth it?"), Sentences(["It was.", LONG])]
    lines = [f"Was it worth it? {LONG}", "Not said elsewhere.", "It was."]
    page = shown(monkeypatch, Section("a", "A", "A", lambda results: blocks, lambda results: lines))
    rest = page.partition('<details class="rest">')[2]
    assert rest.count(LONG) == rest.count("It was.") == rest.count("Not said elsewhere.") == 1


def test_what_is_long_in_a_table_stands_there_once_and_numbers_stay_on_their_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = " ".join(f"word{i}" for i in range(60))
    table = Table(["x"], [[text], ["−0.0412 [−0.0214, 0.259]"], ["a model and another, of NaCl"], ["NaCl, 1300 K"]])
    page = shown(monkeypatch, Section("a", "A", "A", lambda results: [table], is_folded=False))
    cells = re.findall("<td(.*?)</td>", page.split("<tbody>")[1], re.S)
    plain = re.sub(r"<[^>]*>|\s*…", "", cells[0].partition(">")[2])
    assert plain == text, "opened, it is read on from where it was cut"
    assert ['class="n"' in cell for cell in cells] == [False, True, False, True]


def test_long_tables_say_where_the_rest_is(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(["n"], [[str(i)] for i in range(report_page.MOST_ROWS + 7)], "labels")
    page = shown(monkeypatch, Section("a", "A", "A", lambda results: [table]))
    assert "7 more rows in tables/labels.csv." in page and f">{report_page.MOST_ROWS}<" not in page


def test_frames_of_liquids_that_share_no_element_are_drawn(tmp_path: Path) -> None:
    """In the key of a frame stood an element of another: nothing below it on the page was drawn."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium on PATH")
    positions = base64.b64encode(bytes(12)).decode()
    structures = [
        Structure(
            f"frame{i}",
            "salt",
            "equilibrium",
            "group",
            elements,
            elements,
            [],
            [10.0, 0, 0, 0, 10.0, 0, 0, 0, 10.0],
            positions,
        )
        for i, elements in enumerate((["Li", "F"], ["B", "N"]))
    ]
    nothing = pl.DataFrame(schema={"model": pl.String, "dataset": pl.String})
    results = Results(dict.fromkeys(("summary", "survival", "errors"), nothing), {}, {}, structures=structures)
    blocks = [
        Frames(structures),
        Plot("one", go.Figure(go.Scatter(x=[1], y=[1]), layout={"height": 300, "font": {"size": 12}}), "a figure"),
    ]
    page = tmp_path / "report.html"
    page.write_text(report_page.page(results, [Section("a", "A", "A", lambda results: blocks, is_folded=False)]))
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=60000",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
    ]
    seen = subprocess.run([*command, page.as_uri()], check=True, capture_output=True, text=True, timeout=600).stdout
    assert 'data-ready="yes"' in seen and "main-svg" in seen


@pytest.mark.parametrize("name", ["page.js", "liquid.js"])
def test_scripts_can_be_read(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH")
    subprocess.run([node, "--check", str(FILES / name)], check=True)
