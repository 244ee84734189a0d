"""Plans of studies, in a folder of their own."""

from pathlib import Path

import pytest
import yaml
from planned_studies import ASSETS, Planned, Refused, Spoil, Study, demo

from ionmelt.study import plan as plan_module


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Planned:
    """Plan a study (content or text); return the exit code and the mistakes, checked to be in --errors too."""
    monkeypatch.chdir(tmp_path)

    def run(study: Study | str, *arguments: str, out: str = "plan") -> tuple[int, list[str]]:
        text = study if isinstance(study, str) else yaml.safe_dump(study, sort_keys=False)
        Path("study.yaml").write_text(text)
        Path("errors.txt").unlink(missing_ok=True)
        options = ("--assets", str(ASSETS), "--out", out, "--errors", "errors.txt")
        code = plan_module.main(["--study", "study.yaml", *options, *arguments])
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
        assert all(line.startswith("error: ") for line in lines), lines
        mistakes = [line.removeprefix("error: ") for line in lines]
        noted = Path("errors.txt").read_text().splitlines() if Path("errors.txt").exists() else []
        assert noted == mistakes
        assert (code == 2) == bool(mistakes)
        assert Path(out).exists() == (code == 0)
        return code, mistakes

    return run


@pytest.fixture
def refused(planned: Planned, tmp_path: Path) -> Refused:
    """Spoil the study and plan it: it must be refused with these lines and no others."""

    def check(spoil: Spoil, lines: list[str]) -> None:
        content = demo()
        spoil(content)
        expected = [line.replace("{here}", str(tmp_path)).replace("{assets}", str(ASSETS)) for line in lines]
        assert planned(content) == (2, expected)

    return check
