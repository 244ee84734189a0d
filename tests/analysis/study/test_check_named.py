"""What is wrong with a model that is given by its name, and what its import is told."""

import hashlib
from pathlib import Path
from typing import Any

from planned_studies import ZERO, Planned, Refusal, Refused, Spoil, demo, each_of, loaded, rows

from ionmelt.models.frameworks.named import NamedModel
from ionmelt.study.trainings import fields_of_row

N = len(demo()["models"])


def named(*models: dict[str, Any]) -> Spoil:
    """Return what adds models that are given by their names."""
    return lambda s: s["models"].extend(
        {"id": f"named{i}", "framework": "named", **fields} for i, fields in enumerate(models)
    )


REFUSALS: list[Refusal] = [
    ("names_that_are_wrong", named(
        {"model": "sevennet-9"}, {"model": "sevennet-0", "sha256": ZERO, "head": "PBE"},
        {"model": "mace-mpa-0-medium", "sha256": ZERO}, {"model": "chgnet-0.3.0", "dispersion": {"functional": "r2SCAN"}},
        {"model": "uma-s-omol", "weights": "no.pt"}, {"model": "mace-mh-1", "weights": "no.model", "sha256": ZERO}), [
        f"models[{N}].model: 'sevennet-9' is not known: give a name of the table in docs/named.md, such as sevennet-0, "
        "sevennet-l3i5, sevennet-mf-0-pbe",
        f"models[{N + 1}].sha256: the weights of sevennet-0 are in sevenn==0.13.0: leave this out",
        f"models[{N + 1}].head: sevennet-0 imitates PBE+U: leave this out",
        f"models[{N + 2}].weights: missing: the file of mace-mpa-0-medium; bin/fetch_weights.py mace-mpa-0-medium fetches it",
        f"models[{N + 2}].sha256: that of mace-mpa-0-medium is 75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638: "
        "leave this out",
        f"models[{N + 3}].dispersion: the model imitates 'PBE+U', these are the parameters of r2SCAN: give functional: PBE",
        f"models[{N + 4}].sha256: missing: the sha256 of the weights: they are checked before they are opened",
        f"models[{N + 4}].weights: 'no.pt': no such file: {{here}}/no.pt; a path is relative to the study file",
        f"models[{N + 5}].weights: 'no.model': no such file: {{here}}/no.model; a path is relative to the study file",
        f"models[{N + 5}].head: missing: mace-mh-1 has several heads, each of its own level of theory",
        f"models[{N + 5}].theory: missing: mace-mh-1 has several heads, each of its own level of theory"]),
    ("dispersion_of_a_head_that_has_it", named(
        {"model": "mace-mh-1", "weights": "no", "sha256": ZERO, "head": "a", "theory": "PBE-D3", "dispersion": {"functional": "PBE"}},
        {"model": "mace-mh-1", "weights": "no", "sha256": ZERO, "head": "b", "theory": "PBE+U", "dispersion": {"functional": "PBE"}}), [
        f"models[{N}].dispersion: 'PBE-D3' has a dispersion correction already: it would count twice; leave this out",
        *(f"models[{N + i}].weights: 'no': no such file: {{here}}/no; a path is relative to the study file" for i in range(2))]),
    ("a_name_that_does_not_know_the_elements", named({"model": "mace-off23-small", "weights": "no"}), [
        f"models[{N}].weights: 'no': no such file: {{here}}/no; a path is relative to the study file",
        f"models[{N}].model: mace-off23-small does not know B, which pyr14bf4 holds"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)


def test_a_named_model_is_imported_as_its_row_says(planned: Planned) -> None:
    content = demo()
    Path("off.model").write_bytes(b"not opened")
    content["models"] += [
        {"id": "s", "framework": "named", "model": "sevennet-0", "dispersion": {"functional": "PBE"}},
        {"id": "o", "framework": "named", "model": "mace-omat-0-small", "weights": "off.model",
         "sha256": hashlib.sha256(b"not opened").hexdigest()},
        {"id": "u", "framework": "named", "model": "uma-s-omol", "weights": "off.model", "image": "mine:1",
         "sha256": hashlib.sha256(b"not opened").hexdigest()},
    ]  # fmt: skip
    assert planned(content) == (0, [])
    of_s, of_o, of_u = (row for row in rows("models.csv") if row["key"] in "sou")
    assert (of_s["framework"], of_s["environment"], of_s["imported"]) == ("named", "foundation", "true")
    assert (of_s["theory"], of_s["same_theory"]) == ("PBE+U-D3(BJ)", "false")
    assert (of_o["framework"], of_o["environment"], of_o["theory"]) == ("mace", "mace", "PBE+U")
    assert (of_u["environment"], of_u["image"]) == ("fairchem", "mine:1")
    told = loaded("imports/s.json")
    assert told["calculator"] == "sevenn.calculator.SevenNetCalculator"
    assert (told["licence"], told["theory"], told["weights"]) == ("MIT", "PBE+U", None)
    (digest,) = told["shipped"].values()
    assert len(digest) == 64
    assert loaded("imports/o.json")["sha256"] == hashlib.sha256(b"not opened").hexdigest()
    assert [row["path"] for row in rows("files.csv") if row["role"] == "own_model"] == [
        str(Path("off.model").absolute())
    ] * 2


def test_the_import_is_told_what_mace_publishes_of_its_releases() -> None:
    """The energy of an oxygen atom, as it stands in MACE's own tests."""
    model = NamedModel(id="mp", framework="named", model="mace-mp-0-small", weights="mp.model")
    (of_atom,) = (one for one in fields_of_row(model)["published"] if one["formula"] == "O")
    assert of_atom == {"formula": "O", "positions_A": [[0.0, 0.0, 0.0]], "energy_ev": -1.8437130124850496}
