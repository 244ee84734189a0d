"""COMPARE_MODELS: nothing dropped, intervals cover, known differences give known verdicts, the page opens."""

import html
import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from known_numbers import BROKEN, DATASETS, DENSITY, FRAMEWORKS, MISSING, UNCONVERGED, UNEQUILIBRATED
from known_study import write_study, write_trajectory

from ionmelt.compare import run as compare_run
from ionmelt.compare.groups import label
from ionmelt.measure import view as measure_view
from ionmelt.measure.observables import NAMED
from ionmelt.report import still
from ionmelt.report.figures import Style
from ionmelt.report.sections import worth as report_worth


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with tables/ and report.html of the synthetic study."""
    root = tmp_path_factory.mktemp("study")
    arguments = write_study(root / "in")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert compare_run.main([*arguments, "--outdir", str(root / "out")]) == 0
    return root / "out"


def read(result: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(result / "tables" / f"{name}.parquet")


def test_the_screen_is_told_what_the_report_says_first(result: Path) -> None:
    sentences = (result / "recommendation.txt").read_text().splitlines()
    page = html.unescape((result / "report.html").read_text()).replace("\u00a0", " ")
    assert len(sentences) == 2
    for sentence in sentences:
        assert " ".join(sentence.split()) in " ".join(page.split())
    given = json.loads((result.parent / "in" / "plan" / "study.json").read_text())
    assert json.loads((result / "study.json").read_text()) == given


def test_each_model_has_a_page_of_what_came_out_of_it(result: Path) -> None:
    pages = {path.stem: path.read_text() for path in (result / "pages").glob("*.md")}
    assert set(pages) == {f"{m}-{d}-s{s}" for m in FRAMEWORKS for d in DATASETS for s in (1, 2, 3)}
    errors = read(result, "errors").filter(split="test", scope="all", quantity="force")
    for key, page in pages.items():
        (rmse,) = errors.filter(model_key=key)["rmse"].to_list()
        written = re.search(r"^\| force \| ([0-9.]+) \[", page, re.MULTILINE)
        assert written and float(written[1]) == pytest.approx(1e3 * rmse, abs=0.06), page
    good, bad = pages["mace-both-s1"], pages["dpmd-eq-s1"]
    assert "12 of 12 runs reached their end." in good
    assert "10 of 12 runs reached their end." in bad  # one broke, one is missing
    density = read(result, "summary").filter(model="mace", dataset="both", property="density")
    for liquid, value in density.select("liquid", "value").iter_rows():
        written = re.search(rf"\| {liquid}, 430 K \| the density \| ([0-9.]+) ±", good)
        assert written and float(written[1]) == pytest.approx(value, abs=0.06)
    assert "mace-both is closer to the reference than mace-eq" in good


def test_nothing_is_dropped(result: Path) -> None:
    planned = {
        f"{x}-430K-r{r}-{m}-{d}-s{s}"
        for x in DENSITY
        for r in (1, 2)
        for m in ("mace", "dpmd")
        for d in ("eq", "both")
        for s in (1, 2, 3)
    }
    planned |= {f"{x}-430K-r{r}-clp" for x in DENSITY for r in (1, 2)}
    survival = read(result, "survival")
    assert set(survival["run_id"]) == planned and survival.height == len(planned)
    ends = dict(survival.select("run_id", "end").iter_rows())
    assert ends[MISSING] == "missing" and ends[BROKEN] == "bond_broken"
    why = "the tool ended; its last lines: no such head"
    assert survival.filter(run_id=MISSING)["detail"].item() == f"the model cannot be used: {why}"
    assert read(result, "failures").select("stage", "model_key", "model", "dataset", "run_id", "reason").rows() == [
        ("dynamics", MISSING.split("-", 3)[3], "dpmd", "eq", MISSING, why),
        ("evaluation", "mace-start", "mace-start", None, None, "crashed: SIGSEGV"),
    ]
    assert sum(e == "completed" for e in ends.values()) == len(planned) - 2
    density, diffusion = read(result, "density"), read(result, "diffusion")
    assert sorted(density["run_id"]) == sorted(planned)
    assert diffusion.height == 2 * len(planned) and diffusion["species"].null_count() == 0
    assert density.filter(~pl.col("converged"))["reason"].null_count() == 0
    assert (
        density.filter(pl.col("run_id") == BROKEN)["reason"].item()
        == "the run ended by bond_broken at 41.5 ps, without a density"
    )
    assert density.filter(pl.col("run_id") == MISSING)["density_kg_m3"].item() is None
    labels = read(result, "labels")
    assert labels.height == 240 and labels.filter(~pl.col("converged")).height == 2
    page = (result / "report.html").read_text()
    for word in (
        "scf_not_converged",
        "timeout",
        BROKEN,
        MISSING,
        UNCONVERGED,
        "refused: contact",
        "energy is nan",
        "undated",
        "close to the melting point",
        "no such head",
        "crashed: SIGSEGV",
    ):
        assert word in page


def test_a_liquid_that_is_not_equilibrated_is_named_and_so_is_what_comes_from_it(result: Path) -> None:
    liquid, replica = UNEQUILIBRATED
    states = read(result, "equilibration")
    assert states.height == 4
    assert states.filter(~pl.col("converged"))["key"].to_list() == [f"{liquid}-430K-r{replica}"]
    runs = read(result, "survival")
    poor = runs.filter(~pl.col("equilibrated"))
    assert runs["equilibrated"].null_count() == 0
    assert set(poor.select("liquid", "replica").iter_rows()) == {UNEQUILIBRATED}
    for name in ("labels", "dataset"):
        frames = read(result, name).filter(~pl.col("equilibrated"))
        assert frames.height > 0 and set(frames["liquid"]) == {liquid} and set(frames["kind"]) == {"eq"}
    page = (result / "report.html").read_text()
    labelled = read(result, "labels").filter(~pl.col("equilibrated")).height
    assert (
        f"1 of 4 boxes is not equilibrated: {liquid}-430K-r{replica} (4.2 effective samples, 10 wanted); {labelled} labelled "
        f"frames of kind eq and {poor.height} runs come from them"
    ) in page
    assert "not equilibrated: 4.2 effective samples, 10 wanted" in page
    assert page.count("frames were kept every 500 fs, not 250 as asked") == 1
    assert page.count("they resemble each other") == 1, "frames nearer than one independent one: of one liquid alone"


def test_verdicts_of_the_known_study(result: Path) -> None:
    verdicts = read(result, "verdicts")

    def of(quantity: str, a: str, b: str, liquid: str) -> str:
        pair = verdicts.filter(property=quantity, liquid=liquid).filter(
            (pl.col("model_a") == a) & (pl.col("model_b") == b) | (pl.col("model_a") == b) & (pl.col("model_b") == a)
        )
        row = pair.to_dicts()[0]
        word = row["verdict"]
        return {"a": row["model_a"], "b": row["model_b"]}.get(word, word)

    assert of("density", "mace-both", "dpmd-both", "pyr14tfsi") == "mace-both"
    assert of("density", "mace-both", "mace-eq", "pyr14tfsi") == "mace-both"
    assert of("density", "mace-both", "reference", "pyr14tfsi") == "not distinguishable"
    assert of("density", "dpmd-both", "reference", "pyr14tfsi") == "differs"
    assert of("density", "mace-both", "mace-eq", "pyr14bf4") == "not converged"  # one drifting run of six
    assert of("density", "dpmd-both", "dpmd-eq", "pyr14bf4") == "not converged"  # one broken, one missing
    assert of("diffusion", "mace-both", "dpmd-both", "pyr14tfsi") == "differs"  # no reference
    assert of("diffusion", "mace-both", "mace-eq", "pyr14tfsi") == "not distinguishable"
    assert of("force_rmse", "mace-both", "dpmd-both", "all") == "mace-both"
    assert of("scan_energy_rmse", "dpmd-both", "dpmd-eq", "pyr14bf4") == "dpmd-both"
    assert set(verdicts["verdict"]) <= {"a", "b", "differs", "not distinguishable", "not converged"}
    second = verdicts.filter(pl.col("model_b") == "reference", pl.col("liquid") == "pyr14bf4")
    assert second["reason"].str.contains("second-hand").all()
    assert verdicts.filter(pl.col("model_a").str.contains("mace-eq") & (pl.col("model_b") == "dpmd-both")).height == 0


def words(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def first_table(result: Path) -> dict[str, list[tuple[str, list[list[str]]]]]:
    """Return the table at the top of the page: by state, the name of each row and the text of the lines of its cells."""
    table = re.search(r'<table class="matrix">.*?</table>', (result / "report.html").read_text(), re.S)
    assert table is not None
    states = {}
    for body in re.findall(r"<tbody>.*?</tbody>", table.group(), re.S):
        title, *rows = re.findall(r"<tr.*?</tr>", body, re.S)
        states[words(title)] = [
            (words(re.findall(r"<th.*?</th>", row, re.S)[0]), [
                [words(line) for line in re.findall(r"<div.*?</div>", cell, re.S)]
                for cell in re.findall(r"<td>(.*?)</td>", row, re.S)
            ])
            for row in rows
        ]  # fmt: skip
    return states


def test_the_first_table_says_what_is_known_of_each_model(result: Path) -> None:
    states = first_table(result)
    assert list(states) == ["pyr14bf4, 430\u00a0K", "pyr14tfsi, 430\u00a0K"]
    for rows in states.values():
        assert rows[0][0] == "measured"
        assert sorted(name for name, _ in rows[1:]) == ["clp", "dpmd-both", "dpmd-eq", "mace-both", "mace-eq"]
        assert rows[1][0].startswith("mace"), "nothing beats it"
    assert states["pyr14tfsi, 430\u00a0K"][1][0] == "mace-both"
    first, second = (dict(rows) for rows in states.values())
    assert first["measured"][0] == ["1070, second-hand"] and second["measured"][0] == ["1300.0 ± 3.0"]
    # Columns: density, diffusion, conductivity, viscosity, forces, survival, core-hours
    assert [name for name, _ in states["pyr14bf4, 430\u00a0K"]][-1] == "dpmd-eq", "what broke comes last"
    assert all(line.startswith("✕broke: ") for cell in first["dpmd-eq"][:4] for line in cell)
    assert first["dpmd-eq"][5] == ["✕broke: 4 of 6 [22, 96] %"] and second["dpmd-eq"][5] == ["6 of 6 [54, 100] %"]
    assert second["mace-both"][0][0].startswith("▲better: 1302.5 ± ") and second["clp"][0][0].startswith("▼worse: ")
    assert first["mace-both"][0][0].startswith("○undecided: 1072."), "not told from its reference"
    assert [line.split(" ")[1] for line in second["clp"][1]] == ["pyr14", "tfsi"]
    assert all(line.startswith("○undecided: ") for line in second["clp"][1]), "there is no reference"
    assert first["mace-both"][4] == second["mace-both"][4] and first["mace-both"][4][0].startswith("▲better: 46.2 ± ")
    costs = {row["model"]: row["total_core_h"] for row in read(result, "pareto").filter(liquid="pyr14tfsi", property="density", dataset="both").to_dicts()}  # fmt: skip
    assert float(second["mace-both"][6][0]) == pytest.approx(costs["mace"], rel=0.05)


def test_answers_that_are_missing_are_counted_and_said(result: Path) -> None:
    """One seed of dpmd-eq failed on two test frames: it is beaten on the others, is converged nowhere, and the page says it."""
    summary = read(result, "summary").filter(property="force_rmse", model="dpmd")
    counts = {r["dataset"]: (r["points"], r["points_missing"], r["converged"]) for r in summary.to_dicts()}
    assert counts == {"eq": (22, 2, False), "both": (24, 0, True)}
    pair = read(result, "verdicts").filter(property="force_rmse", model_a="mace-eq", model_b="dpmd-eq").to_dicts()[0]
    assert (pair["verdict"], pair["points"], pair["points_missing_a"], pair["points_missing_b"]) == ("a", 22, 0, 2)
    assert "dpmd-eq: no answer on 2 that the other answered" in pair["reason"]
    page = (result / "report.html").read_text()
    assert "dpmd-eq gave no answer on 2 of 24 test frames" in page
    assert set(read(result, "pareto").filter(property="force_rmse", model="dpmd", dataset="eq")["front"]) == {"not converged"}  # fmt: skip


def test_verdicts_name_models_and_datasets_in_columns(result: Path) -> None:
    rows = read(result, "verdicts").filter(pl.col("model_b") != "reference").to_dicts()
    for r in rows:
        for side in "ab":
            assert r[f"model_{side}"] == label(r[f"model_id_{side}"], r[f"dataset_{side}"])
    assert {(r["model_id_a"], r["dataset_a"]) for r in rows} >= {("mace", "eq"), ("dpmd", "both")}
    summary = read(result, "summary").filter(model="mace")
    assert set(summary.select("dataset", "mixture").iter_rows()) == {("eq", "eq"), ("both", "both")}


def test_another_level_of_theory_is_told_from_its_columns(result: Path) -> None:
    page = (result / "report.html").read_text()
    assert "clp imitates PBE, the labels are PBE-D3(BJ): its errors on them are" in page


def test_conductivity_is_judged_and_viscosity_says_what_it_needs(result: Path) -> None:
    verdicts = read(result, "verdicts")

    def words(quantity: str) -> set[str]:
        return set(verdicts.filter(property=quantity, liquid="pyr14tfsi", model_b="clp")["verdict"])

    assert words("conductivity") == {"differs"}
    assert words("viscosity") == {"not converged"}
    summary = read(result, "summary").filter(property="viscosity", liquid="pyr14tfsi")
    assert set(summary["needed_ps"]) == {9000.0} and summary["unit"].unique().to_list() == ["Pa.s"]
    page = (result / "report.html").read_text()
    assert "6 of 6 runs: the running integral has no plateau; needs about 9000 ps" in page and "mPa·s" in page


def test_the_spread_between_seeds_is_stretched_to_the_error(result: Path) -> None:
    table = pl.read_parquet(result / "tables" / "uncertainty.parquet")
    assert set(table.select("model", "dataset").unique().iter_rows()) == {
        (m, d) for m in ("mace", "dpmd") for d in ("eq", "both")
    }
    assert table["members"].unique().to_list() == [3]
    most = table.filter(pl.col("level") == 0.68)
    assert (most["raw_coverage"] < 0.5).all()
    assert (most["scale"] > 1.5).all()
    assert most["coverage"].is_between(0.6, 0.76).all()
    assert "What the spread between seeds is worth" in (result / "report.html").read_text()


def test_sizes_are_drawn_over_frames(result: Path) -> None:
    t = {path.stem: pl.read_parquet(path) for path in (result / "tables").glob("*.parquet")}
    style = Style(t, {"models": [{"id": "mace"}], "datasets": {"both": [], "eq": []}})
    assert report_worth.figure_sizes(t, style) is None
    mixture = pl.col("mixture").replace({"eq": "both"})
    t["learning"] = t["learning"].with_columns(mixture, dataset=pl.col("dataset").replace({"eq": "both.8"}))
    figure = report_worth.figure_sizes(t, style)
    assert figure is not None
    lines = [line for line in figure.data if line.name == "mace-both"]
    count = t["dataset"].filter(pl.col("split") == "train").group_by("dataset").len().sort("len")["len"].to_list()
    hours = t["learning"]["labels_core_h"].unique().sort().to_list()
    # density, forces and scan of two liquids, survival too; each over frames and over core-hours
    assert lines and len(lines) % 2 == 0
    assert {tuple(line.x) for line in lines} == {tuple(count), tuple(hours)}


def test_what_data_were_worth_is_in_the_report(result: Path) -> None:
    rows = read(result, "worth").filter(pl.col("question") == "kinds")
    scan = rows.filter(pl.col("property") == "scan_energy_rmse", pl.col("model_a") == "mace-both").to_dicts()
    assert {row["liquid"] for row in scan} == set(DENSITY)
    assert {row["verdict"] for row in scan} == {"better"} and all(row["ci95_high"] < 0 for row in scan)
    # runs broke or are missing: no claim on the density of that liquid, with the reason
    poor = rows.filter(pl.col("property") == "density_error", pl.col("liquid") == "pyr14bf4").to_dicts()
    assert poor and all(row["verdict"] == "not converged" and row["reason"] for row in poor)
    good = rows.filter(pl.col("property") == "density_error", pl.col("liquid") == "pyr14tfsi").to_dicts()
    assert {(r["model_a"], r["verdict"]) for r in good} >= {("mace-both", "better")}
    report = (result / "report.html").read_text()
    assert "Was it worth its cost?" in report and "neq beside eq, on top of all others" in report


def test_runs_beyond_the_training_data_are_named(result: Path) -> None:
    report = (result / "report.html").read_text()
    assert "runs of trained models left what their model was trained on" in report
    assert "What they measured there is extrapolation" in report
    assert read(result, "domain").filter(pl.col("verdict") == "not judged")["model"].unique().to_list() == ["clp"]


def test_tables_have_the_columns_of_the_contract(result: Path) -> None:
    wanted = {
        "density": "liquid model dataset seed temperature_K replica density_kg_m3 standard_error_kg_m3 "
        "reference_kg_m3 n_effective converged",
        "diffusion": "liquid model dataset seed temperature_K replica species diffusion_m2_s ci95_low_m2_s "
        "ci95_high_m2_s finite_size_correction_m2_s log_slope converged",
        "displacement": "run_id liquid model dataset seed temperature_K replica species lag_ps msd_A2 frames ions",
        "survival": "run_id planned_ps survived_ps end equilibrated",
        "equilibration": "key liquid temperature_K replica density_kg_m3 standard_error_kg_m3 n_effective converged reason",
        "failures": "stage model_key model dataset seed run_id reason",
        "cost": "process id wall_s cpu_s max_rss_mb",
        "verdicts": "liquid temperature_K property species model_a model_b difference ci95_low ci95_high "
        "unit verdict reason p_holm pairs",
        "labels": "frame_id converged reason theory_id",
        "dataset": "frame_id dataset split group",
        "errors": "model_key quantity rmse",
        "structure": "run_id quantity pair r_A q_per_A angle_deg lag_ps value standard_error unit reason",
        "coordination": "run_id quantity pair state cut_A value unit ci95_low ci95_high converged reason",
        "conformers": "run_id species feature quantity state value unit ci95_low ci95_high converged reason",
        "kinetics": "run_id quantity pair state_from state_to events value unit ci95_low ci95_high converged reason",
        "scan": "model_key scale energy_ref_ev_per_atom",
        "curves": "model_key step value",
        "trainings": "model_key term gradient_share_start gradient_share_end valid_best valid_end grew_again still_falling",
        "dimers": "model_key model pair distance_A energy_ev reason",
        "long_range": "model_key model liquid pair ions distance_A energy_ev coulomb_ev blind_beyond_A coulomb_share sight reason",
        "committee": "liquid property model dataset seeds mean between_seeds within_seed verdict reason",
        "forgetting": "model_key start frames groups force_rmse_before force_rmse_after ci95_low ci95_high verdict",
        "distillation": "liquid temperature_K property species model dataset teacher difference ci95_low ci95_high unit speed_up "
        "speed_up_ci95_low speed_up_ci95_high converged reason",
        "rounds": "round liquid model dataset train_frames active_frames survived_share density_kg_m3 verdict reason",
        "exploration": "round liquid model dataset walk time_ps disagreement_ev_a worth_above_ev_a offered end",
        "conductivity": "liquid model dataset seed temperature_K replica conductivity_s_m ionicity converged reason",
        "onsager": "liquid model dataset seed temperature_K replica pair onsager_s_m converged reason",
        "viscosity": "liquid model dataset seed temperature_K replica viscosity_pa_s converged reason",
        "sampling": "liquid recipe requested kept",
        "versions": "process library version",
        "summary": "liquid property value converged finite_size_correction",
        "references": "liquid property temperature_K value standard_uncertainty low high range interpolated source second_hand",
        "uncertainty": "model dataset quantity members level scale raw_coverage coverage coverage_ci95_low reason",
        "learning": "liquid property model dataset mixture frames labels_core_h error ci95_low ci95_high against converged",
        "worth": "question liquid property model_a model_b frames_a frames_b difference ci95_low ci95_high verdict reason",
        "domain": "run_id quantity share_outside seen_low seen_high limit_low limit_high unit verdict reason",
        "power": "liquid temperature_K property about detectable detectable_percent equivalent_percent margin_percent length_times reason",
        "pressures": "model_key liquid temperature_K pressure_ref_bar pressure_difference_bar wasserstein_bar density_shift_percent reason",
        "pareto": "liquid property model dataset error ci95_low ci95_high unit total_core_h total_gpu_h front reason",
    }
    assert {p.stem for p in (result / "tables").glob("*.parquet")} == set(wanted) | set(NAMED)
    for name, columns in wanted.items():
        frame = read(result, name)
        assert set(columns.split()) <= set(frame.columns), name
        # here is no round of active learning, no truth, and nothing that came before the first training
        absent = ("rounds", "exploration", "distillation", "power", "pressures")
        assert (frame.height > 0) == (name not in absent), name
        text = pl.read_csv(result / "tables" / f"{name}.csv", infer_schema=False)
        assert text.columns == frame.columns and text.height == frame.height
    reference = read(result, "density").filter(pl.col("liquid") == "pyr14tfsi")["reference_kg_m3"]
    assert reference.to_list() == pytest.approx([1300.0] * reference.len())


def test_same_input_same_bytes_even_when_staged_by_links(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = write_study(tmp_path / "in")
    for name in ("models", "evaluations", "runs"):
        staged = tmp_path / f"staged-{name}"
        staged.mkdir()
        for folder in (tmp_path / "in" / name).iterdir():
            (staged / folder.name).symlink_to(folder)
        arguments[arguments.index(f"--{name}") + 1] = str(staged)
    monkeypatch.chdir(tmp_path)
    assert compare_run.main([*arguments, "--outdir", str(tmp_path / "out")]) == 0
    names = sorted(p.relative_to(result) for p in result.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*") if p.is_file())
    for name in names:
        assert (result / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name


def test_a_plan_alone_still_gives_every_run_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tasks failed: each planned run is there as missing, and the page says that there is no verdict."""
    write_study(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    assert compare_run.main(["--plan", str(tmp_path / "in" / "plan"), "--runs", "nowhere"]) == 0
    survival = pl.read_parquet(tmp_path / "tables" / "survival.parquet")
    assert survival.height == 52 and set(survival["end"]) == {"missing"}
    assert "0 of 52 planned runs" in (tmp_path / "report.html").read_text()
    assert set(pl.read_parquet(tmp_path / "tables" / "verdicts.parquet")["verdict"]) == {"not converged"}


def test_no_plan_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert compare_run.main(["--plan", "nothing"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: --plan nothing: study.json is not there; give the folder that PLAN_STUDY wrote"
    ]


def test_the_picture_has_whole_ions_in_the_box(result: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    write_trajectory(root, np.random.default_rng(1))
    run = {
        "id": "x",
        "liquid": "libf4",
        "model": "clp",
        "dataset": None,
        "temperature_K": 430.0,
        "save_every_fs": 500.0,
    }
    (root / "run.json").write_text(json.dumps(run))
    view = measure_view.read(root)
    places = view.atoms_A
    assert places.shape == (20, 18, 3) and view.time_ps[:3] == [0.5, 1.0, 1.5] and len(view.bonds) == 12
    for i, j in view.bonds:
        lengths = np.linalg.norm(places[:, i] - places[:, j], axis=1)
        assert np.allclose(lengths, 0.8 * math.sqrt(3), atol=0.05)
    centres = [places[:, [i]].mean(axis=1) for i in range(3)] + [places[:, 3 + 5 * i] for i in range(3)]
    assert all(((c > -0.1) & (c < 9.1)).all() for c in centres)
    drawing = ElementTree.fromstring(still.still(view))
    assert len(drawing.findall(".//{*}circle")) == 18 and len(drawing.findall(".//{*}line")) == 2 * 12 + 12
    assert (result / "liquid.svg").read_text() in (result / "report.html").read_text()


def test_page_says_semi_empirical_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path / "in")
    plan = tmp_path / "in" / "plan"
    (plan / "labels.json").write_text(json.dumps({"engine": "xtb", "method": "GFN1-xTB"}))
    study = json.loads((plan / "study.json").read_text())
    study["md"] |= {"npt_ps": 1.0, "nvt_ps": 1.0}
    study["name"] = "<b>&"
    (plan / "study.json").write_text(json.dumps(study))
    monkeypatch.chdir(tmp_path)
    assert compare_run.main(["--plan", str(plan)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "semi-empirical tight binding, not DFT" in page and "the runs are short (2 ps each)" in page.lower()
    assert "<title>&lt;b&gt;&amp;" in page


def test_a_tuned_model_that_forgot_is_called_so(result: Path) -> None:
    rows = read(result, "forgetting").to_dicts()
    assert {row["model"] for row in rows} == {"mace"}
    assert {row["verdict"] for row in rows} == {"lost"}
    for row in rows:
        assert row["force_rmse_after"] == pytest.approx(3 * row["force_rmse_before"])
        assert row["ci95_low"] < row["difference"] < row["ci95_high"]
    report = (result / "report.html").read_text()
    assert "has lost some of what it knew: its force error on other chemistry went from" in report
    assert set(read(result, "dimers")["model"]) == {"mace", "dpmd", "mace-start", "labels"}


def test_a_model_that_does_not_see_far_is_called_so(result: Path) -> None:
    report = (result / "report.html").read_text()
    assert "mace-both: blind beyond 9 Å" in report
    assert "labels: sees to 30 Å" in report


def test_spread_between_seeds_stands_beside_the_statistical_error(result: Path) -> None:
    rows = read(result, "committee")
    assert {*NAMED, "rdf"} <= set(rows["property"])
    assert "clp" not in set(rows["model"])
    state = ["liquid", "temperature_K", "property", "species", "model", "dataset"]
    both = rows.join(read(result, "summary").select(*state, "converged"), on=state, nulls_equal=True)
    told = both.filter(pl.col("seeds") > 1)
    assert (told["converged"] == (told["verdict"] != "not converged")).all() and told["converged"].n_unique() == 2
    tested = rows.filter(pl.col("property") == "density", pl.col("p_value").is_not_null())
    assert (tested["between_seeds_ci95_low"] < tested["between_seeds"]).all()
