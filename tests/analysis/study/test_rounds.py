"""Rounds of active learning: who explores, and from which weights a training goes on."""

import hashlib
import json
from pathlib import Path

import pytest
from planned_studies import Planned, Study, contents, demo, learning, loaded, rows


def cards(number: int, *keys: str) -> list[str]:
    """Write the model cards of a round; return the arguments that give them."""
    for key in keys:
        Path(key).mkdir(exist_ok=True)
        card = {
            "id": key,
            "model": key.partition("-")[0],
            "framework": "mace",
            "files": {"model.pt": hashlib.sha256(key.encode()).hexdigest()},
            "settings": {"round": number},
        }
        Path(key, "model.json").write_text(json.dumps(card))
    return ["--previous", "/before", "--records", *(f"{key}/model.json" for key in keys)]


LEARNED = ("mace-al-s1", "mace-al-s2", "dpmd-al-s1", "dpmd-al-s2")


def test_the_first_round_has_nobody_to_explore(planned: Planned) -> None:
    assert planned(learning()) == (0, [])
    assert rows("explore.csv") == []
    assert not Path("plan/choose").exists()
    settings = loaded("models/mace-al-s1.json")
    assert (settings["round"], settings["mode"], settings["weights"]) == (0, None, None)
    assert "round" not in loaded("models/mace-both-s1.json")


def test_a_round_is_priced_by_its_own_labels_and_by_the_walks_of_each_temperature(planned: Planned) -> None:
    """Labels of earlier rounds are stored; each of two committees walks at each temperature."""
    hours: dict[int, dict[str, float]] = {}
    for kelvins in ([430], [430, 450, 470]):
        content = learning()
        content["liquids"][0]["temperatures_K"] = kelvins
        told = []
        for number, arguments in enumerate(([], cards(0, *LEARNED))):
            assert planned(content, *arguments, out=f"plan{number}-{len(kelvins)}") == (0, [])
            stages = json.loads(Path(f"plan{number}-{len(kelvins)}/estimate.json").read_text())["stages"]
            told.append({stage["stage"]: stage for stage in stages})
        first, later = told
        assert (first["label"]["count"], later["label"]["count"]) == (20 * len(kelvins) + 15 + 8, 4)
        assert later["label"]["core_hours"] < first["label"]["core_hours"] / 5
        assert later["train"]["core_hours"] >= first["train"]["core_hours"], "all frames are trained on"
        hours[len(kelvins)] = {name: told[name == "walks"]["md"]["core_hours"] for name in ("runs", "walks")}
    walks = {n: row["walks"] - row["runs"] for n, row in hours.items()}
    assert walks[3] == pytest.approx(3 * walks[1], rel=0.02)


def test_a_framework_that_cannot_tune_begins_each_round_from_nothing(planned: Planned) -> None:
    content = learning()
    content["models"] = [{"id": "nequip", "framework": "nequip", "datasets": ["al"]}]
    keys = ("nequip-al-s1", "nequip-al-s2")
    assert planned(content, *cards(1, *keys)) == (0, [])
    for key in keys:
        settings = loaded(f"models/{key}.json")
        assert (settings["mode"], settings["weights"], settings["round"]) == (None, None, 2)
    assert not [row for row in rows("files.csv") if row["role"] == "weights"]
    (explored,) = rows("explore.csv")
    assert (explored["members"].split(), explored["environment"]) == (list(keys), "nequip")


def test_a_round_explores_with_committees_and_goes_on_from_their_weights(planned: Planned) -> None:
    assert planned(learning()) == (0, [])
    first = contents(Path("plan"))
    assert planned(learning(), *cards(1, *LEARNED), out="next") == (0, [])
    Path("plan").rename("first")
    Path("next").rename("plan")
    explored = rows("explore.csv")
    assert [row["key"] for row in explored] == ["pyr14bf4-430K-r1-mace-al", "pyr14bf4-430K-r1-dpmd-al"]
    assert [row["members"].split() for row in explored] == [list(LEARNED[:2]), list(LEARNED[2:])]
    assert [row["environment"] for row in explored] == ["mace", "deepmd"]
    settings = loaded("explore/pyr14bf4-430K-r1-mace-al.json")
    assert (settings["round"], settings["dataset"], settings["timestep_fs"]) == (2, "al", 0.5)
    assert loaded("choose/pyr14bf4-active2.json")["frames"] == 4
    for key in LEARNED:
        settings = loaded(f"models/{key}.json")
        assert settings["sha256"] == hashlib.sha256(key.encode()).hexdigest()
        assert (settings["mode"], settings["weights"], settings["round"]) == ("finetune", "model.pt", 2)
    weights = {row["id"]: row["path"] for row in rows("files.csv") if row["role"] == "weights"}
    assert weights == {key: f"/before/models/{key}/model.pt" for key in LEARNED}
    now = contents(Path("plan"))
    same = {
        name for name in first if name.split("/")[0] in ("boxes", "states", "samples", "runs", "cards", "labels.json")
    }
    assert all(now[name] == first[name] for name in same)
    assert now["models/mace-both-s1.json"] == first["models/mace-both-s1.json"]


@pytest.mark.parametrize(
    ("content", "keys", "line"),
    [
        (learning(), (), "active: --previous /before: holds no models/*/model.json: give the results of a round that has ended"),
        (learning(), LEARNED[:3], "active: --previous /before: has no model dpmd-al-s2: is it of another study?"),
        (demo(), LEARNED, "active: missing: --previous /before is for active learning; give active: {frames: ...}, or sampling.eq.refine: 1"),
    ],
)  # fmt: skip
def test_a_round_before_that_does_not_fit(planned: Planned, content: Study, keys: tuple[str, ...], line: str) -> None:
    assert planned(content, *cards(0, *keys)) == (2, [line])
