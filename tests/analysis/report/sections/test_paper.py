"""The paragraph for a paper: what the study did, in words, and nothing that it did not."""

import re

import polars as pl

from ionmelt.report.results import Results
from ionmelt.report.sections import paper
from ionmelt.report.sections.asked import asked
from ionmelt.report.sections.paper import paragraph
from ionmelt.tables.published import TABLES

MD = {
    "npt_ps": 200.0,
    "nvt_ps": 1000.0,
    "timestep_fs": 0.5,
    "replicas": 3,
    "thermostat_fs": 100.0,
    "barostat_fs": 500.0,
}
STUDY = {
    "liquids": [{"id": "libf4", "ions": {"li": 8, "bf4": 8}, "temperatures_K": [900.0], "force_field": "clandp"}],
    "models": [{"id": "m", "framework": "mace"}, {"id": "clp", "framework": "classical"}], "seeds": [1, 2], "md": MD,
    "equilibration": {"anneal_K": 1200.0, "anneal_ps": 4.0, "cool_ps": 2.0, "settle_ps": 1.0, "production_ps": 8.0},
}  # fmt: skip


def results(**changes: object) -> Results:
    """Return results of which the labels and the dataset alone have rows."""
    tables = {name: pl.DataFrame(schema=schema) for name, schema in TABLES.items()}
    frames = [{"frame_id": f"f{i}", "kind": "eq" if i < 3 else "neq", "converged": i != 4} for i in range(5)]
    tables["labels"] = pl.DataFrame(frames)
    tables["dataset"] = pl.DataFrame([{"frame_id": "f0", "split": "test"}, {"frame_id": "f1", "split": "train"}])
    models = pl.DataFrame({"dataset": ["eq", None]})
    return Results(tables, STUDY | changes, {"engine": "xtb", "method": "GFN1-xTB"}, models=models)


def test_a_study_in_words() -> None:
    text = paragraph(results())
    for words in (
        "The liquid was libf4 (8 li, 8 bf4) at 900\u00a0K", "the CL&P force field (4 ps at 1200 K, cooled over 2 ps;",
        "4 frames were labelled with GFN1-xTB (semi-empirical tight binding, not DFT), 3 of them", "1 label failed",
        "1 served as a test set", "m (MACE) and clp (classical force field); trained ones had 2 seeds each",
        "from the same 3 boxes", "for 200 ps, then stochastic velocity rescaling at the mean density for 1000 ps; time step 0.5 fs",
    ):  # fmt: skip
        assert words in text, words


def test_what_was_not_done_is_not_said() -> None:
    text = paragraph(results(md=MD | {"nvt_ps": 0.0, "replicas": 1}))
    assert "velocity rescaling" not in text and "from the same box of each state" in text


def test_a_composition_and_a_named_model_in_words() -> None:
    """Of a liquid that is given by concentrations nothing was said between the brackets, of such a model only "named"."""
    composition = {
        "mole_fraction": None, "molality": None, "molarity": {"li": 1.0, "pf6": 1.0}, "solvent": {"ec": 1.0, "dmc": 1.0},
        "solvent_parts": "mass", "smiles": {}, "atoms": 290,
    }  # fmt: skip
    liquid = {
        "id": "lipf6", "ions": {}, "molecules": {}, "composition": composition, "temperatures_K": [300.0], "force_field": "openff",
    }  # fmt: skip
    text = paragraph(
        results(liquids=[liquid], models=[{"id": "seven", "framework": "named", "model": "sevennet-0", "head": None}])
    )
    for words in (
        "The liquid was lipf6 (molarity (mol/L) of li 1, pf6 1 in ec 1, dmc 1 by mass; about 290 atoms) at 300\u00a0K",
        "melted with CL&P and OPLS-AA where they have types, else OpenFF Sage, else UFF, with charges of NAGL or GFN2-xTB (",
        "The models were seven (sevennet-0)",
    ):
        assert words in text, words


def test_what_ran_longer_or_with_heavy_hydrogens_or_not_at_all_is_said() -> None:
    """A truth that ran 6 times as long did not run "the same", and a reader has to know of other masses."""
    plain = results()
    assert "times as long" not in paragraph(plain) and "hydrogens" not in paragraph(plain)
    given = results(md=MD | {"truth_times": 6.0, "hydrogen_mass_u": 3.0, "models": ["clp"]})
    runs = pl.DataFrame({"model": ["clp", "m"], "planned_ps": [7200.0, 1200.0]})
    given.tables["survival"] = pl.DataFrame(schema=TABLES["survival"]).join(
        runs, on=["model", "planned_ps"], how="full", coalesce=True
    )
    text, row = paragraph(given), dict(asked(given))["Dynamics"]
    assert "Every model" not in text and "clp alone ran the same dynamics" in text
    for words in ("clp ran 6 times as long", "bonded hydrogens of 3 u"):
        assert words in text and words in row and "m ran" not in text and "m ran" not in row


def test_a_force_field_of_the_user_is_named_and_cited_without_its_folder() -> None:
    liquid = STUDY["liquids"][0] | {"force_field": "forcefields/joung_cheatham.xml"}
    given = results(liquids=[liquid])
    assert "melted with the force field joung_cheatham.xml (" in paragraph(given)
    given.tables["references"] = pl.DataFrame({"source": ["NIST ILThermo (SRD 147) <b>"]})
    works = str(paper.blocks(given)[0].blocks[-1].text)
    assert "Of the force field joung_cheatham.xml, which the study brought: the work that it is from.<br>" in works
    assert "ILThermo: A Free-Access" in works and "joung_cheatham.xml" not in "".join(re.findall("<a .*?</a>", works))
