"""The study file's fields, bounds and units, and how each departure from them is said."""

import itertools
import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from ionmelt.errors import UserError
from ionmelt.frames.settings import VolumeScan
from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import Cp2kLabels
from ionmelt.liquid.settings import IonSmiles
from ionmelt.mistakes import branches, is_section, path_text, position_of
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.frameworks.mace import MaceModel
from ionmelt.settings import Section
from ionmelt.study.reading import Problems, read_draft
from ionmelt.study.schema import Study, schema
from ionmelt.study.text import parse_yaml

STUDIES = Path(__file__).resolve().parents[3] / "studies"
FILES = sorted(STUDIES.glob("*.yaml"))
ENGINE_NAMES = " or ".join([", ".join(list(ENGINES)[:-1]), list(ENGINES)[-1]])

LEAST = {
    "name": "least",
    "liquids": [{"id": "a", "ions": {"li": 1, "bf4": 1}, "temperatures_K": [400]}],
    "models": [{"id": "clp", "framework": "classical"}],
    "md": {"npt_ps": 1, "nvt_ps": 1},
}


def mistakes(raw: Any) -> list[str]:
    problems = Problems()
    read_draft(raw, problems)
    return problems.lines()


def changed(*path: Any, value: Any) -> dict[str, Any]:
    """Return LEAST with one value replaced or added."""
    study = json.loads(json.dumps(LEAST))
    section = study
    for item in path[:-1]:
        section = section.setdefault(item, {}) if isinstance(section, dict) else section[item]
    section[path[-1]] = value
    return study


def sections_of(annotation: Any) -> list[type[Section]]:
    kinds = [kind for _, kind in branches(annotation)]
    inner = [
        section for kind in kinds if not is_section(kind) for arg in get_args(kind) for section in sections_of(arg)
    ]
    return [kind for kind in kinds if is_section(kind)] + inner


def all_sections(cls: type[Section] = Study) -> set[type[Section]]:
    sections = {cls}
    for info in cls.model_fields.values():
        for inner in sections_of(info.annotation):
            sections |= all_sections(inner)
    return sections


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_studies_of_the_repository_are_read_without_a_mistake_and_survive_a_round_trip(path: Path) -> None:
    raw = parse_yaml(path.read_text(), path.name)
    assert mistakes(raw) == []
    study = Study.model_validate(raw)
    dumped = study.model_dump(mode="json")
    assert Study.model_validate(yaml.safe_load(yaml.safe_dump(dumped))) == study
    assert mistakes(dumped) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_studies_point_editors_to_the_schema(path: Path) -> None:
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


def test_schema_file_is_current() -> None:
    assert (STUDIES / "schema.json").read_text() == schema(), "run: bin/plan_study.py --schema > studies/schema.json"


def test_every_field_has_a_description_and_says_its_unit() -> None:
    """A name ends with its unit, and the description repeats it."""
    units = {
        "_K": "(K)",
        "_bar": "(bar)",
        "_fs": "(fs)",
        "_ps": "(ps)",
        "_eV_A": "(eV/A)",
        "_A": "(A)",
        "_Ry": "(Ry)",
        "_kg_m3": "(kg/m3)",
    }
    for cls in all_sections():
        for name, info in cls.model_fields.items():
            assert info.description, f"{cls.__name__}.{name}"
            for suffix, unit in units.items():
                if name.endswith(suffix) and name not in ("rel_cutoff_Ry", "cutoff_A", "density_guess_kg_m3"):
                    assert unit in info.description, f"{cls.__name__}.{name}"
                    break


def test_a_section_cannot_be_changed() -> None:
    study = Study.model_validate(LEAST)
    with pytest.raises(ValueError, match="frozen"):
        study.name = "other"


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        (
            ("liquids", 0, "temperatures_K"),
            [25],
            ["liquids[0].temperatures_K[0]: 25 is below 100 K: is it 25 degC? give kelvin, 298.15"],
        ),
        (
            ("liquids", 0, "pressure_bar"),
            101325,
            ["liquids[0].pressure_bar: 101325 is above 20000 bar: is it 101325 Pa? give bar, 1.01325"],
        ),
        (
            ("liquids", 0, "density_guess_kg_m3"),
            1.2,
            ["liquids[0].density_guess_kg_m3: 1.2 is below 100 kg/m3: is it 1.2 g/cm3? give kg/m3, 1200"],
        ),
        (("md", "timestep_fs"), 0.0005, ["md.timestep_fs: 0.0005 is below 0.05 fs: is it 0.0005 ps? give fs, 0.5"]),
        (("md", "npt_ps"), 2e7, ["md.npt_ps: 2e+07 is above 1e+06 ps: is it 2e+07 fs? give ps, 20000"]),
        (
            ("equilibration", "cutoff_A"),
            0.9,
            ["equilibration.cutoff_A: 0.9 is below 3 A: is it 0.9 nm? give angstrom, 9"],
        ),
        (("equilibration", "cutoff_A"), "big", ["equilibration.cutoff_A: 'big': give auto or a number"]),
        (("equilibration", "cutoff_A"), "8.5", []),
        (("liquids", 0, "ions", "li"), -1, ["liquids[0].ions.li: -1 is below 1"]),
        (("liquids", 0, "ions", "li"), 0, ["liquids[0].ions.li: 0 is below 1"]),
        (("liquids", 0, "ions", "li"), 1.5, ["liquids[0].ions.li: 1.5 is not a whole number"]),
        (("liquids", 0, "ions", "li"), True, ["liquids[0].ions.li: true is not a number"]),
        (("liquids", 0, "ions", "li"), "2", []),
        (("liquids", 0, "ions", "li"), {"smiles": "[Li+]"}, ["liquids[0].ions.li.count: missing: how many of it a box holds"]),
        (
            ("liquids", 0, "ions", "li"),
            {"smiles": "[Li+]", "count": 1, "charge": 1},
            ["liquids[0].ions.li.charge: unknown field; known: count, smiles"],
        ),
        # Names that are those of forms of a section.
        (("liquids", 0, "ions", "frames"), "x", ["liquids[0].ions.frames: 'x' is not a whole number"]),
        (("sampling",), {"neq": {"frames": 3}}, [
            "sampling.neq.frames: unknown field; known: clusters, ions, oscillation, packing, rattle, volume_scan"
        ]),
        (("labels",), {"frames": True, "theory": None}, ["labels.frames: true is not a text", "labels.theory: nothing is not a text"]),
        (("liquids", 0, "composition"), {"atoms": 5}, ["liquids[0].composition.atoms: 5 is below 10"]),
        (("liquids", 0, "ions"), None, ["liquids[0].ions: nothing is not a section: give name: value lines"]),
        (
            ("liquids", 0, "id"),
            "LiBF4-1",
            ["liquids[0].id: 'LiBF4-1': give small letters, digits, _ and ., beginning with a letter or digit"],
        ),
        (("liquids", 0, "id"), 12, ["liquids[0].id: 12 is not a text: write it in quotes"]),
        (("liquids", 0, "force_field_sha256"), "AB" * 32, []),
        (("liquids", 0, "temperatures_K"), 400, ["liquids[0].temperatures_K: 400 is not a list: give [...]"]),
        (("liquids", 0, "temperatures_K"), [], ["liquids[0].temperatures_K: empty: give at least 1"]),
        (("liquids",), [], ["liquids: empty: give at least 1"]),
        (("liquids",), "pyr14bf4", ["liquids: 'pyr14bf4' is not a list: give [...]"]),
        (("liquids", 0), "x", ["liquids[0]: 'x' is not a section: give name: value lines"]),
        (("md", "npt_ps"), True, ["md.npt_ps: true is not a number"]),
        (("md", "npt_ps"), "20 ps", ["md.npt_ps: '20 ps' is not a number: give 20"]),
        (("md", "npt_ps"), "20 ns", ["md.npt_ps: '20 ns' is not a number: give the number alone, in ps"]),
        (("md", "npt_ps"), "long", ["md.npt_ps: 'long' is not a number"]),
        (("liquids", 0, "temperatures_K"), ["353 K"], ["liquids[0].temperatures_K[0]: '353 K' is not a number: give 353"]),
        (("md", "npt_ps"), float("nan"), ["md.npt_ps: nan is not a number"]),
        (("md", "npt_ps"), "a while", ["md.npt_ps: 'a while' is not a number"]),
        (("md", "npt_ps"), "2", []),
        (("md", "ntp_ps"), 3, ["md.ntp_ps: unknown field; did you mean npt_ps?"]),
        (("md", "nptps"), 3, ["md.nptps: unknown field; did you mean npt_ps?"]),
        (
            ("liquids", 0),
            {"id": "a", "ions": {"li": 1, "bf4": 1}},
            ["liquids[0].temperatures_K: missing: temperatures to simulate at (K)"],
        ),
        (("sampling",), {"eq": {"frams": 3}}, [
            "sampling.eq.frames: missing: frames for each liquid and temperature",
            "sampling.eq.frams: unknown field; did you mean frames?",
        ]),
        (("sampling", "seed"), -1, ["sampling.seed: -1 is below 0"]),
        (("labels",), {"engine": "vasp"}, [f"labels: engine is 'vasp': give {ENGINE_NAMES}"]),
        (("labels",), {"engine": "xbt"}, [f"labels: engine is 'xbt': did you mean xtb? give {ENGINE_NAMES}"]),
        (("labels",), {"chunk": 3}, [
            f"labels: engine is missing: give {ENGINE_NAMES}; or frames, the path of your own labels"
        ]),
        (("labels",), {"engine": "xtb", "method": "GFN3"}, ["labels.method: 'GFN3': give one of 'GFN1-xTB' or 'GFN2-xTB'"]),
        (
            ("labels",),
            {"engine": "cp2k", "functional": "PBE", "dispersion": "D3", "basis": "DZVP-MOLOPT-SR-GTH", "potential": "GTH-PBE"},
            [
                "labels.cutoff_Ry: missing: plane-wave cut-off of the density (Ry)",
                "labels.eps_scf: missing: convergence of the SCF (Ha)",
                "labels.rel_cutoff_Ry: missing: cut-off of the multigrid's reference Gaussian (Ry)",
            ],
        ),
        (("labels",), {"engine": "xtb", "chunk": "some"}, ["labels.chunk: 'some': give auto or a number"]),
        (("labels",), {"engine": "xtb", "chunk": 0}, ["labels.chunk: 0 is below 1"]),
        (("labels",), {"engine": "xtb", "spot_check_fraction": 2}, ["labels.spot_check_fraction: 2 is above 1"]),
        (("labels",), {"engine": "xtb", "funktional": "PBE"}, [
            "labels.funktional: unknown field; known: accuracy, chunk, electronic_temperature_K, engine, "
            "max_failed_fraction, max_frame_s, max_iterations, method, spot_check_fraction"
        ]),
        (("datasets",), {"eq": "eq"}, ["datasets.eq: 'eq' is not a list: give [...]"]),
        (("models", 0, "framework"), "allegro", [f"models[0].framework: 'allegro': give one of {', '.join(FRAMEWORKS)}"]),
        (("models", 0), {"id": "x"}, [f"models[0].framework: missing: give one of {', '.join(FRAMEWORKS)}"]),
        (("models", 0), {"id": "m", "framework": "mace", "r_max_A": 0.6}, [
            "models[0].r_max_A: 0.6 is below 2 A: is it 0.6 nm? give angstrom, 6"
        ]),
        (("models", 0), {"id": "m", "framework": "mace", "sha256": "abc"}, ["models[0].sha256: 'abc': give 64 hexadecimal digits"]),
        (("models", 0), {"id": "m", "framework": "mace", "chanels": 6}, ["models[0].chanels: unknown field; did you mean channels?"]),
        (("seeds",), [1.5], ["seeds[0]: 1.5 is not a whole number"]),
        (("nam",), "x", ["nam: unknown field; did you mean name?"]),
        (("budget_core_hours",), "cheap", ["budget_core_hours: 'cheap' is not a number"]),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line_that_says_what_would_be_right(
    path: tuple[Any, ...], value: Any, lines: list[str]
) -> None:
    assert mistakes(changed(*path, value=value)) == lines


def test_one_mistake_does_not_hide_another_and_lines_follow_the_file() -> None:
    raw = changed("md", "npt_ps", value=-1)
    raw["liquids"][0] |= {"temperatures_K": [300, 20], "colour": "red"}
    raw["seeds"] = [True]
    assert mistakes(raw) == [
        "liquids[0].colour: unknown field; known: charge_scale, composition, density_guess_kg_m3, force_field, force_field_sha256, id, ions, molecules, pressure_bar, temperatures_K",
        "liquids[0].temperatures_K[1]: 20 is below 100 K: is it 20 degC? give kelvin, 293.15",
        "seeds[0]: true is not a number",
        "md.npt_ps: -1 is below 0.001 ps",
    ]


@pytest.mark.parametrize("raw", [None, 3, "text", [], [1]])
def test_what_is_no_mapping_is_no_study(raw: Any) -> None:
    (line,) = mistakes(raw)
    assert line.endswith(" is not a study: give name: value lines, as in studies/demo.yaml")


DECIMAL = "write it in decimal, without zeros in front, or a text in quotes"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: [1, 2", ["s.yaml: line 1, column 9: not YAML: expected ',' or ']', but got '<stream end>'"]),
        ("a: 1\n\tb: 2", ["s.yaml: line 2, column 1: not YAML: a tab: indent by blanks"]),
        ("a: 1\nb: 2\na: 3\n", ["s.yaml: line 3, column 1: 'a' is already given in line 1"]),
        ("x: {y: 1, y: 2}\nx: 3", [
            "s.yaml: line 2, column 1: 'x' is already given in line 1",
            "s.yaml: line 1, column 11: 'y' is already given in line 1",
        ]),
        ("a: \x07", ["s.yaml: line 1: not YAML: a character that YAML does not allow"]),
        ("{[1]: 2}", ["s.yaml: line 1, column 2: not YAML: found unhashable key"]),
        ("a: !!python/object:os.system x", [
            "s.yaml: line 1, column 4: not YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object:os.system'"
        ]),
        ("a: !!timestamp 500", [
            "s.yaml: line 1, column 4: not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:timestamp'"
        ]),
        ("a: !!bool maybe\nb: !!int ''\nc: !!float x", [
            "s.yaml: line 1, column 4: 'maybe' is no true or false",
            "s.yaml: line 2, column 4: '' is no whole number",
            "s.yaml: line 3, column 4: 'x' is no number",
        ]),
        ("a: !!map [1]", ["s.yaml: line 1, column 4: not YAML: expected a mapping node, but found sequence"]),
        ('a: "\\ud800"', ["s.yaml: line 1, column 4: '\\ud800' is no text"]),
        ("a: [01604, 500]\nb: 15:00", [
            "s.yaml: line 2, column 4: '15:00' is no plain number: " + DECIMAL,
            "s.yaml: line 1, column 5: '01604' is no plain number: " + DECIMAL,
        ]),
        ("a: 0x1F4", ["s.yaml: line 1, column 4: '0x1F4' is no plain number: " + DECIMAL]),
        ("a: 1:30:15.5", ["s.yaml: line 1, column 4: '1:30:15.5' is no plain number: " + DECIMAL]),
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_said_with_its_line(text: str, lines: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, "s.yaml")
    assert caught.value.errors == lines


def test_what_yaml_1_1_reads_in_a_way_of_its_own_is_read_as_it_looks() -> None:
    text = "[1e-5, 1E5, 2026-02-31, =, 1_000, .5, '007', !!str 500, ~, yes, 10, -0.5e+3, 1.2.3]"
    values = [1e-5, 1e5, "2026-02-31", "=", 1000, 0.5, "007", "500", None, True, 10, -500.0, "1.2.3"]
    parsed = parse_yaml(text, "s.yaml")
    assert parsed == values
    assert [type(value) for value in parsed] == [type(value) for value in values]


@pytest.mark.parametrize(
    "tag", ["timestamp", "binary", "set", "omap", "pairs", "python/tuple", "python/name:os.system"]
)
@pytest.mark.parametrize("value", ["500", "''", "[a, b]", "{a: 1}", "[a: 1]"])
def test_no_tag_but_those_of_plain_data(tag: str, value: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(f"a: !!{tag} {value}", "s.yaml")
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize("tag", ["str", "int", "float", "bool", "null", "seq", "map"])
@pytest.mark.parametrize("value", ["500", "''", "maybe", "01604", ".nan", "[a, b]", "{a: 1}", "[a: 1]", "2026-02-31"])
def test_a_tag_and_a_value_give_a_value_or_one_line(tag: str, value: str) -> None:
    try:
        parsed = parse_yaml(f"a: !!{tag} {value}", "s.yaml")
    except UserError as error:
        assert len(error.errors) == 1
    else:
        assert isinstance(parsed["a"], str | int | float | bool | list | dict | None)


def test_a_few_lines_that_stand_for_millions_of_values_are_one_line() -> None:
    names = "abcdefg"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join(['*' + a] * 10)}]" for a, b in itertools.pairwise(names)]
    with pytest.raises(UserError) as caught:
        parse_yaml("\n".join(lines), "s.yaml")
    assert caught.value.errors == ["s.yaml: not YAML: its anchors stand for more than 100000 values"]


def test_nesting_without_end_is_one_line() -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml("[" * 5000, "s.yaml")
    assert len(caught.value.errors) == 1


def test_a_place_is_one_line_whatever_its_keys_are() -> None:
    assert path_text(("liquids", 0, "ions", "a\nb")) == "liquids[0].ions.'a\\nb'"
    assert path_text(()) == "study"


def test_schema_knows_every_field_of_every_section() -> None:
    definitions = json.loads(schema())["$defs"]
    for cls in all_sections() - {Study}:
        assert set(definitions[cls.__name__]["properties"]) == set(cls.model_fields)
        assert definitions[cls.__name__]["additionalProperties"] is False


def test_a_place_is_what_the_user_wrote_and_the_section_that_it_is_in() -> None:
    """Pydantic puts the tags of unions into the places of its errors."""
    position = position_of(Study, ("labels", "cp2k", "cutof_Ry"))
    assert (position.loc, position.section) == (("labels", "cutof_Ry"), Cp2kLabels)
    position = position_of(Study, ("sampling", "neq", "volume_scan", "frames"))
    assert (position.loc, position.section) == (("sampling", "neq", "volume_scan", "frames"), VolumeScan)
    position = position_of(Study, ("liquids", 0, "ions", "count", "smiles", "count"))
    assert (position.loc, position.section) == (("liquids", 0, "ions", "count", "count"), IonSmiles)
    position = position_of(Study, ("labels", "frames", "frames", "paths", 0))
    assert (position.loc, position.field, position.section) == (("labels", "frames", 0), "frames", None)
    position = position_of(Study, ("models", 1, "mace", "energy_weight", "number"))
    assert (position.loc, position.section) == (("models", 1, "energy_weight"), MaceModel)
