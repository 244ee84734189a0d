"""The page of a whole study: its size, what it shows to whom, and what a browser and a printer make of it."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import known_numbers
import pytest
from known_study import write_study
from wcag import contrast

from ionmelt.compare import run as compare_run
from ionmelt.report import page as report_page
from ionmelt.report.packed import unpacked

FILES = Path(report_page.__file__).parent
# Axes without a unit: counts, shares, and functions that are 1 where nothing is told apart.
PURE = {
    "g(r)", "S(q), X-rays", "S(q), neutrons", "edge of the box, relative", "step of the training", "labelled frames",
    "share inside", "share that should be inside", "round", "loss", "training frames",
}  # fmt: skip


def page_of(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Return the page of the made-up study."""
    arguments = write_study(folder / "in")
    patch.chdir(folder)
    assert compare_run.main(arguments) == 0
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of the made-up study as it stands."""
    with pytest.MonkeyPatch.context() as patch:
        return page_of(tmp_path_factory.mktemp("study"), patch)


def figures_of(page: str) -> dict[str, dict]:
    """Return the figures that a page carries, by name."""
    return json.loads(unpacked(re.findall('<script id="figures" type="text/plain">(.*?)</script>', page)[0]))


def six_models_in_three_liquids(patch: pytest.MonkeyPatch) -> None:
    """Let the made-up study be of three liquids, and of five trained models beside the classical force field."""
    for name in ("nequip", "so3", "tuned"):
        patch.setitem(known_numbers.FRAMEWORKS, name, "mace")
        patch.setitem(known_numbers.SPEED, name, 0.9)
        for dataset in ("eq", "both"):
            patch.setitem(known_numbers.OFFSET, (name, dataset), 5.0)
            patch.setitem(known_numbers.FORCE, (name, dataset), 0.06)
    patch.setitem(known_numbers.DENSITY, "emimbf4", 1280.0)
    patch.setitem(known_numbers.IONS, "emimbf4", ("emim", "bf4"))


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of six models in three liquids."""
    with pytest.MonkeyPatch.context() as patch:
        six_models_in_three_liquids(patch)
        return page_of(tmp_path_factory.mktemp("large"), patch)


def test_a_page_of_six_models_in_three_liquids_is_below_two_megabytes(large_page: str) -> None:
    """A mail takes it, and so does a repository that publishes a study."""
    page = large_page
    assert page.count('<tbody><tr><th scope="rowgroup"') == 3 and page.count("<i style=") == 3 * 11
    assert len(page.encode()) < 2e6
    assert 0 < page.index('<div class="say">') < page.index('<table class="matrix">'), "what to use is read first"


def test_page_needs_no_network(page: str) -> None:
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]*\b(?:src|href)\s*=\s*(?!["']?data:)""", page)
    shown = page.split("<script")[0]
    assert "@import" not in shown and not re.findall(r"url\((?!#)", shown)
    assert "showSendToCloud: false" in page, "plotly's button that sends a figure to a server"


class Outline(HTMLParser):
    """What a reader without a screen gets of a page: headings, names of figures and of controls, and what a keyboard reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.unnamed: list[str] = []
        self.unreachable: list[str] = []
        self.labelled = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        given = dict(attrs)
        classes = (given.get("class") or "").split()
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))
        if "id" in given:
            self.ids.append(given["id"] or "")
        self.labelled += {"label": 1}.get(tag, 0)
        needs_name = given.get("role") in ("img", "group") or tag == "nav" or (tag == "input")
        if needs_name and not given.get("aria-label"):
            self.unnamed.append(self.get_starttag_text() or tag)
        if {"scroll", "tall"} & set(classes) and given.get("tabindex") != "0":
            self.unreachable.append(self.get_starttag_text() or tag)

    def handle_endtag(self, tag: str) -> None:
        """Leave a label."""
        self.labelled -= {"label": 1}.get(tag, 0)


def test_the_page_can_be_read_without_seeing_it(page: str) -> None:
    """What axe-core calls serious: figures and controls have names, headings skip no level, what scrolls is reached by keys."""
    outline = Outline()
    outline.feed(page)
    assert outline.levels[0] == 1 and outline.levels.count(1) == 1 and len(outline.levels) > 20
    assert all(after <= before + 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert outline.unnamed == [] and outline.unreachable == []
    assert len(outline.ids) == len(set(outline.ids))
    assert '<html lang="en">' in page and 'name="viewport"' in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(scheme: str) -> None:
    """WCAG 2 asks 4.5:1 of text."""
    light, dark = re.findall(r":root \{(.*?)\}", (FILES / "style.css").read_text(), re.S)[:2]
    colours = dict(re.findall(r"--(\w+): (#\w{6});", light if scheme == "light" else dark))
    assert len(colours) == 9
    for ink in ("ink", "soft", "accent"):
        for ground in ("page", "card", "tint", "warn"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def test_every_axis_says_what_it_is_and_in_which_unit_and_so_does_every_point(page: str) -> None:
    for name, figure in figures_of(page).items():
        for trace in figure["data"]:
            for letter in "xy":
                axis = figure["layout"][f"{letter}axis{trace.get(f'{letter}axis', letter)[1:]}"]
                named = axis.get("ticktext") or any(isinstance(value, str) for value in listed(trace[letter]))
                title = axis.get("title", {}).get("text", "")
                assert named or title in PURE or re.fullmatch(r".+ \(.+\)", title), (name, letter, title)
            assert trace.get("hovertemplate") or trace.get("hoverinfo") in ("skip", "text"), (name, trace.get("name"))


def listed(values: object) -> list:
    """Return the values of a trace; numbers in plotly's packed form are numbers."""
    return values if isinstance(values, list) else []


def chromium(folder: Path, page: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Open a page in a browser without a screen, and do with it what the arguments say."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on PATH: apt-get install chromium to open the report in a browser")
    (folder / "report.html").write_text(page)
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}"]
    log = ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000"]
    command = [program, "--headless", "--no-sandbox", *quiet, *log, *arguments, (folder / "report.html").as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


def test_a_click_on_a_point_shows_its_frame_and_rings_its_atom(tmp_path: Path, page: str) -> None:
    """The click is plotly's own event, with the point that it would send."""
    click = """<script>addEventListener("load", async () => {
      while (document.documentElement.dataset.ready !== "yes") await new Promise((done) => setTimeout(done, 50));
      document.querySelector("#errors details.rest").open = true;
      await new Promise((done) => setTimeout(done, 500));
      const plot = document.getElementById("fig-parity"), data = plot.data[1];
      plot.emit("plotly_click", { points: [{ data, x: data.x[7], y: data.y[7], customdata: [3, 16] }] });
    });</script></body>"""
    done = chromium(tmp_path, page.replace("</body>", click), "--dump-dom").stdout
    said = re.findall(r'<p class="said" role="status">(.*?)</p>', done)
    assert said and re.fullmatch(r"mace-eq, y of atom 6 \(F of bf4, ringed\): label \S+, model \S+ eV/Å\.", said[0]), (
        said
    )


@pytest.mark.parametrize("size", ["page", "large_page"])
def test_a_print_is_of_twelve_pages_at_most(tmp_path: Path, size: str, request: pytest.FixtureRequest) -> None:
    chromium(
        tmp_path, request.getfixturevalue(size), "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'report.pdf'}"
    )
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", (tmp_path / "report.pdf").read_bytes()))
    assert 3 < pages <= 12


def test_page_opens_in_a_browser(page: str, tmp_path: Path) -> None:
    # A folded section draws its figures when it is opened: here all are.
    done = chromium(tmp_path, page.replace("<details", "<details open"), "--dump-dom")
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console
    assert 'data-ready="yes"' in done.stdout
    assert len(re.findall(r'<div class="liquid live"><canvas[^>]*aria-label="[^"]*: drag', done.stdout)) == 2, (
        "liquid and frame"
    )
    assert re.search(r'<output class="clock">0', done.stdout)
    drawn = set(re.findall(r'<div id="fig-(\w+)"[^>]*class="[^"]*js-plotly-plot', done.stdout))
    assert drawn == set(figures_of(page)) and len(drawn) > 20
