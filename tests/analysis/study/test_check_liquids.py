"""What is wrong with a liquid, line by line."""

import json
from pathlib import Path

import pytest
from planned_studies import (
    ION_NAMES,
    MOLECULE_NAMES,
    Planned,
    Refusal,
    Refused,
    Spoil,
    concentrations,
    demo,
    each_of,
    ions,
    liquid,
)

REFUSALS: list[Refusal] = [
    ("unknown_ion", ions(pyr15=4, bf4=4), [
        f"liquids[0].ions.pyr15: unknown ion 'pyr15'; did you mean pyr14? known: {ION_NAMES}; or give {{smiles: ..., count: ...}}"]),
    ("no_ions", lambda s: s["liquids"][0].pop("ions"), [
        "liquids[0].ions: missing: give ions, molecules or both with numbers; or a composition"]),
    ("neutral_ion", lambda s: liquid(ions={"pyr14": 4, "bf4": 4, "EC": 3}, molecules={"li": 1, "watr": 2})(s), [
        "liquids[0].ions.EC: ec is neutral: put it under molecules",
        "liquids[0].molecules.li: li is an ion of charge +1: put it under ions",
        f"liquids[0].molecules.watr: unknown molecule 'watr'; did you mean water? known: {MOLECULE_NAMES}; "
        "or give {smiles: ..., count: ...}"]),
    ("ion_twice", ions(pyr14=8, tfsi=4, NTf2=4), [
        "liquids[0].ions.NTf2: is tfsi, which tfsi is, too: give it once"]),
    ("name_no_table_can_hold", ions(**{"Cho+": {"smiles": "C[N+](C)(C)CCO", "count": 4}, "bf4": 4}), [
        "liquids[0].ions.Cho+: 'Cho+': give small letters, digits, _ and ., beginning with a letter or digit"]),
    ("counts_and_concentrations", liquid(composition={"mole_fraction": {"pyr14": 0.5, "bf4": 0.5}, "atoms": 300}), [
        "liquids[0].composition: ions or molecules are given by numbers, too: give one or the other"]),
    ("mole_fractions_above_one", concentrations(mole_fraction={"pyr14": 0.5, "bf4": 0.6}), [
        "liquids[0].composition.mole_fraction: the sum is 1.1, not 1: add what is missing, or divide each by 1.1"]),
    ("charged_concentrations", concentrations(molality={"li": 1, "bf4": 2}, solvent={"pc": 1}), [
        "liquids[0].composition: the charges sum to -1 (li +1 x 1, bf4 -1 x 2): change the amounts until they sum to 0"]),
    ("molality_of_nothing", concentrations(molality={"li": 1, "bf4": 1}), [
        "liquids[0].composition.solvent: missing: molality needs the solvent, such as {ec: 1, dmc: 1}"]),
    ("a_salt_as_an_ion", concentrations(molarity={"LiPF6": 1}, solvent={"ec": 1}), [
        "liquids[0].composition.molarity.LiPF6: 'LiPF6' is a salt: give its ions, li and pf6, each by itself"]),
    ("parts_in_percent", concentrations(molarity={"li": 1, "pf6": 1}, solvent={"ec": "50%"}), [
        "liquids[0].composition.solvent.ec: '50%' is not a number"]),
    ("smiles_of_nothing", concentrations(molarity={"li": 1, "pf6": 1}, solvent={"ec": 1}, smiles={"mine": "CCO"}), [
        "liquids[0].composition.smiles.mine: is nothing of the composition: say how much, or leave it out"]),
    ("half_a_molecule", liquid(ions={}, molecules={"ec": 2.5}), ["liquids[0].molecules.ec: 2.5 is not a whole number"]),
    ("a_proton", ions(acid={"smiles": "[H+]", "count": 4}, bf4=4), [
        "liquids[0].ions.acid: smiles '[H+]' is a proton, which no liquid has by itself: give the ion that holds it, such as [OH3+]"]),
    ("not_neutral_with_a_solvent", liquid(ions={"pyr14": 5, "bf4": 4}, molecules={"ec": 9}), [
        "liquids[0].ions: the charges sum to +1 (5 x pyr14 +1, 4 x bf4 -1); 5 of bf4 would make it neutral"]),
    ("two_concentrations", concentrations(molality={"li": 1, "bf4": 1}, molarity={"li": 1, "bf4": 1}, solvent={"pc": 1}), [
        "liquids[0].composition: molality and molarity given: give one of mole_fraction, molality, molarity"]),
    ("too_few_atoms_for_an_ion", concentrations(molality={"li": 0.01, "bf4": 0.01}, solvent={"pc": 1}), [
        "liquids[0].composition.atoms: 300 hold 0.024 of li: give 12740 or more"]),
    ("solvent_of_ions", concentrations(molality={"li": 1, "bf4": 1}, solvent={"emim": 1}), [
        "liquids[0].composition.solvent.emim: emim is an ion of charge +1: a solvent is neutral: put it with the other ions"]),
    ("wrong_smiles", ions(cho={"smiles": "C[N+(C", "count": 4}, bf4=4), [
        "liquids[0].ions.cho: smiles 'C[N+(C' is not a valid SMILES"]),
    ("two_ions_in_one", ions(salt={"smiles": "[Li+].[Cl-]", "count": 4}), [
        "liquids[0].ions.salt: smiles '[Li+].[Cl-]' has several parts; give each ion on its own"]),
    ("part_of_a_polymer", ions(peo={"smiles": "*CC[NH3+]", "count": 4}, bf4=4), [
        "liquids[0].ions.peo: smiles '*CC[NH3+]' has an atom that is no element (*): give the whole ion or molecule"]),
    ("heavy_water", lambda s: s["liquids"][0].update(molecules={"d2o": {"smiles": "[2H]O[2H]", "count": 4}}), [
        "liquids[0].molecules.d2o: smiles '[2H]O[2H]' has the isotope [2H], and masses here are those of the elements: leave the number "
        "out"]),
    ("name_of_another_ion", ions(emim={"smiles": "C[NH3+]", "count": 4}, bf4=4), [
        "liquids[0].ions.emim: is the name of 1-ethyl-3-methylimidazolium, which smiles 'C[NH3+]' is not: give another name"]),
    ("atom_for_an_ion", ions(sodium={"smiles": "[Na]", "count": 4}, bf4=4), [
        "liquids[0].ions.sodium: smiles '[Na]' has an unpaired electron at Na, and only closed shells are covered: is a charge, or a bond, "
        "missing?"]),
    ("radical", lambda s: s["liquids"][0].update(molecules={"tempo": {"smiles": "CC1(C)CCCC(C)(C)N1[O]", "count": 4}}), [
        "liquids[0].molecules.tempo: smiles 'CC1(C)CCCC(C)(C)N1[O]' has an unpaired electron at O, and only closed shells are covered: "
        "is a charge, or a bond, missing?"]),
    ("charged_box", ions(pyr14=5, bf4=4), [
        "liquids[0].ions: the charges sum to +1 (5 x pyr14 +1, 4 x bf4 -1); 5 of bf4 would make it neutral"]),
    ("charged_box_without_counterion", ions(bf4=12), [
        "liquids[0].ions: the charges sum to -12 (12 x bf4 -1); add an ion of the opposite charge"]),
    ("negative_count", ions(pyr14=-4, bf4=4), ["liquids[0].ions.pyr14: -4 is below 1"]),
    ("celsius", liquid(temperatures_K=[25]), [
        "liquids[0].temperatures_K[0]: 25 is below 100 K: is it 25 degC? give kelvin, 298.15"]),
    ("temperature_twice", liquid(temperatures_K=[430, 430.0]), ["liquids[0].temperatures_K: 430 is given twice"]),
    ("unknown_field", liquid(temperature_K=430), ["liquids[0].temperature_K: unknown field; did you mean temperatures_K?"]),
    ("untyped_ion", lambda s: (ions(tma={"smiles": "C[N+](C)(C)C", "count": 6}, bf4=6, alcl4=3, na=3)(s),
                               liquid(force_field="clandp")(s)), [
        "liquids[0].force_field: clandp has no types for tma, alcl4: give openff, the path of an OpenMM force-field XML file "
        "that has them, or xtb"]),
    ("ion_of_no_force_field", ions(zn={"smiles": "[Zn+2]", "count": 4}, bf4=8), [
        "liquids[0].force_field: no classical force field has zn ([Zn+2]): OpenFF Sage lacks 1 of 1 vdW: give the path of an OpenMM force-field XML file that has it, or xtb"]),
    ("scaled_charges_of_xtb", lambda s: (liquid(force_field="xtb", charge_scale=0.8)(s), s["models"].pop()), [
        "liquids[0].charge_scale: force_field is xtb: leave it out"]),
    ("unknown_force_field", liquid(force_field="opls"), [
        "liquids[0].force_field: 'opls': give auto, clandp, openff, xtb or the path of a .xml file"]),
    ("mistyped_force_field", liquid(force_field="clanp"), [
        "liquids[0].force_field: 'clanp': did you mean clandp? give auto, clandp, openff, xtb or the path of a .xml file"]),
    ("beginning_of_a_field", liquid(density=1200), ["liquids[0].density: unknown field; did you mean density_guess_kg_m3?"]),
    ("decimal_comma", liquid(density_guess_kg_m3="1200,5"), [
        "liquids[0].density_guess_kg_m3: '1200,5' is not a number: give a decimal point, and no other marks"]),
    ("missing_force_field", liquid(force_field="mine.xml"), [
        "liquids[0].force_field: 'mine.xml': no such file: {here}/mine.xml; a path is relative to the study file"]),
    ("box_below_the_classical_cutoff", lambda s: s.update(equilibration={"cutoff_A": 9}), [
        "liquids[0].ions: 140 atoms make a box of about 11.5 A at 1000 kg/m3: too small for equilibration.cutoff_A 9, "
        "which needs 18.8 A; give more, or cutoff_A auto"]),
    ("box_below_any_classical_cutoff", lambda s: (ions(li=1, bf4=1)(s), s["models"].pop(1), s["models"].pop(0)), [
        "liquids[0].ions: 6 atoms make a box of about 5.4 A at 1000 kg/m3: too small for a classical cut-off of 3 A; "
        "give more"]),
    ("too_few_molecules", lambda s: (liquid(ions={}, molecules={"ec": 2}, density_guess_kg_m3=1000)(s), s["models"].pop(1), s["models"].pop(0)), [
        "liquids[0].molecules: 20 atoms make a box of about 6.6 A at 1000 kg/m3: too small for a classical cut-off of 3 A; give more"]),
    ("too_few_atoms_of_a_composition", lambda s: (concentrations(mole_fraction={"li": 0.5, "bf4": 0.5}, atoms=12)(s), s["models"].pop(1), s["models"].pop(0)), [
        "liquids[0].composition.atoms: 12 atoms make a box of about 6.8 A at 1000 kg/m3: too small for a classical cut-off of 3 A; give more"]),
    ("a_long_step_with_xtb", lambda s: (liquid(force_field="xtb")(s), s["models"].pop(), s.update(equilibration={"timestep_fs": 2})), [
        "equilibration.timestep_fs: 2 fs is too long for liquids[0], whose force_field is xtb: its bonds to hydrogen are not "
        "held fixed; give 1 or less, or auto"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)


@pytest.mark.parametrize("written", ["CL&P", "ClandP", "OpenFF"])
def test_a_force_field_is_known_however_it_is_written(planned: Planned, written: str) -> None:
    content = demo()
    content["liquids"][0]["force_field"] = written
    assert planned(content) == (0, [])
    chosen = json.loads(Path("plan/study.json").read_text())["liquids"][0]["force_field"]
    assert chosen == {"C": "clandp", "O": "openff"}[written[0]]


def test_a_name_of_the_library_may_say_more_of_its_stereochemistry(planned: Planned) -> None:
    content = demo()
    content["liquids"][0]["molecules"] = {"pc": {"smiles": "C[C@H]1COC(=O)O1", "count": 4}}
    code, lines = planned(content)
    assert code == 0, lines


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[ defaults ]\n1 2 yes 0.5 0.5\n", "is not XML: "),
        ("<ForceField><AtomTypes>", "is not XML: "),
        ("<System openmmVersion='8.1'/>", "is OpenMM's <System> of one box, not a <ForceField>"),
        ("<html/>", "begins with <html>: OpenMM's <ForceField> is needed"),
        ("<ForceField><Script>1</Script></ForceField>", "<Script>: a force field may not bring a program"),
    ],
)
def test_a_file_that_is_no_force_field_is_refused_before_anything_runs(
    planned: Planned, content: str, said: str
) -> None:
    Path("own.xml").write_text(content)
    study = demo()
    study["liquids"][0]["force_field"] = "own.xml"
    code, lines = planned(study)
    assert code == 2
    assert lines[0].startswith(f"liquids[0].force_field: own.xml: {said}"), lines
