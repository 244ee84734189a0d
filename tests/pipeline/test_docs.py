"""What the documentation says to type is there: the site builds without a warning, links lead somewhere, commands are accepted."""

import json
import re
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

from documentation import PUBLISHED, TOP, commands, each_page
from wcag import contrast

from ionmelt.study import reference
from ionmelt.tables.published import TABLES

# Of Nextflow itself: its options begin with one hyphen.
NEXTFLOW = {"-stub", "-resume", "-profile", "-work-dir", "-ansi-log", "-params-file", "-with-dag", "-bg", "-w", "-c"}


@cache
def parameters() -> set[str]:
    """Return every parameter of the pipeline."""
    schema = json.loads((TOP / "nextflow_schema.json").read_text())
    return {name for group in schema["$defs"].values() for name in group["properties"]}


@cache
def options_of(script: str) -> str:
    """Return what a script of bin/ says of itself."""
    command = [sys.executable, str(TOP / "bin" / script), "--help"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run([TOP / "docs" / "build", tmp_path / "site"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in (TOP / "docs").glob("*.md"):
        folder = page.stem if page.stem != "index" else ""
        built = (tmp_path / "site" / folder / "index.html").read_text()
        assert "style/site.css" in built and "style/site.js" in built, page.name
    for name in ("site.css", "site.js"):
        assert (tmp_path / "site" / "style" / name).is_file()


def test_faint_words_of_the_theme_can_be_read() -> None:
    """Level AA asks for a contrast of 4.5; the theme's own colours of a comment and of the footer, whose backgrounds these are, have 4.47."""
    style = (TOP / "docs" / "style" / "site.css").read_text()
    colours = dict(re.findall(r"(--md-[\w-]+): (#\w{6});", style))
    comment, variable = "--md-code-hl-comment-color", "--md-code-hl-variable-color"
    on = {comment: "#f5f5f5", variable: "#f5f5f5", "--md-footer-fg-color--lighter": "#171717"}
    assert all(contrast(colours[name], background) > 4.6 for name, background in on.items())
    assert contrast("#717171", "#f5f5f5") < 4.5


def test_every_page_is_reached() -> None:
    navigation = (TOP / "mkdocs.yml").read_text().split("nav:")[1]
    pages = {str(page.relative_to(TOP / "docs")) for page in [*(TOP / "docs").glob("*.md"), *PUBLISHED]}
    assert set(re.findall(r"[\w/-]+\.md", navigation)) == pages


def test_the_reference_of_the_study_is_as_the_code_is() -> None:
    assert (TOP / "docs" / "study.md").read_text() == reference.page(), (
        "docs/study.md is not as the code is: run docs/build --write"
    )


def test_pictures_are_as_their_script_draws_them() -> None:
    script = runpy.run_path(str(TOP / "docs" / "pictures" / "draw.py"))
    assert (TOP / "docs" / "pictures" / "way.svg").read_text() == script["drawing"]()
    for name, says in script["badges"]().items():
        assert (TOP / "docs" / "pictures" / f"{name}.svg").read_text() == script["badge"](name, says)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))
    for link in re.findall(r"\]\(([^)#\s]+)", prose.replace("]\\(", "")):
        if not link.startswith(("http", "../../actions")):
            assert (page.parent / link).exists(), link


@each_page
def test_commands_are_accepted(page: Path) -> None:
    """Files of the project are there, parameters are those of the pipeline, options those of the script."""
    for words in commands(page.read_text()):
        program, *rest = words
        if program == "./nextflow":
            names = {word.split("=")[0] for word in rest if word.startswith("--")}
            assert names <= {f"--{name}" for name in parameters()} | {"--help"}, words
            assert {word for word in rest if re.match(r"-[a-z]", word)} <= NEXTFLOW, words
        elif program.startswith("bin/"):
            options = re.findall(r"--[\w-]+", options_of(program.removeprefix("bin/")))
            assert {word.split("=")[0] for word in rest if word.startswith("--")} <= set(options), words
        elif program == "./rounds":
            assert all(word in (TOP / "rounds").read_text() for word in rest if word.startswith("--")), words
        elif re.match(r"(containers|tests|benchmarks|docs)/", program):
            assert (TOP / program).is_file(), words
        for word in words:
            if re.match(r"(studies|assets|docs|containers)/[\w/.-]+$", word):
                assert (TOP / word).exists(), words


def stale_paths(text: str) -> list[str]:
    """Return the files and folders that a page names and that are not there: paths of the project or of the package.

    A name without a folder is that of any file of the project, or of one that a task writes: the code has it then.
    """
    files = [
        path
        for folder in ("assets", "bin", "containers", "docs", "modules", "tests")
        for path in (TOP / folder).rglob("*.*")
    ]
    names = {path.name for path in files} | {path.name for path in TOP.iterdir()}
    code = "".join(path.read_text() for path in files if path.suffix in (".py", ".nf"))
    stale = []
    for word in re.findall(r"`([\w.{},/-]+)`", text):
        word = re.split("NAME|KIND|IONMELT_HOME", word)[0].rstrip("/")  # of a path with a part to fill in: the folder
        (choices,) = re.findall(r"\{(.*)\}", word) or [""]
        for path in (word.replace(f"{{{choices}}}", choice) for choice in choices.split(",")):
            if path.startswith("tables/"):
                is_there = Path(path).stem in TABLES
            elif "/" in path:
                is_there = (TOP / path).exists() or (TOP / "bin" / "ionmelt" / path).exists()
            else:
                is_file = re.search(r"\.(py|nf|md|ya?ml|csv|json|parquet|in)$", path)
                is_there = (
                    not is_file or path in names or re.search(rf"\"{re.escape(path)}\"|\"{Path(path).stem}\"", code)
                )
            stale += [] if is_there else [path]
    return stale


def test_contributing_names_files_that_are_there() -> None:
    text = (TOP / "docs" / "contributing.md").read_text()
    assert stale_paths(text) == []
    assert stale_paths(text.replace("labels/chain.py", "labels/chains.py")) == ["labels/chains.py"]
    assert stale_paths(text.replace("`tables/density`", "`tables/densities`")) == ["tables/densities"]


def test_contributing_names_functions_and_processes_that_are_there() -> None:
    text = (TOP / "docs" / "contributing.md").read_text()
    named = re.findall(r"`(\w+)` (?:of|in) `([\w./]+)`", text)
    assert len(named) >= 10
    for name, file in named:
        (path,) = (base / file for base in (TOP, TOP / "bin" / "ionmelt") if (base / file).is_file())
        assert re.search(rf"^ *(def |class )?{name}\b", path.read_text(), re.M), f"{name} of {file}"
    processes = set(re.findall(r"^process (\w+)", "".join(p.read_text() for p in (TOP / "modules").glob("*.nf")), re.M))
    named_processes = set(re.findall(r"\(([A-Z]+_[A-Z_]+|EQUILIBRATE)\)", text))
    assert len(named_processes) >= 10 and named_processes <= processes


def test_the_readme_is_a_screen_and_a_half() -> None:
    text = (TOP / "README.md").read_text()
    assert len(text.split()) < 700
    assert len(text.splitlines()) < 80
