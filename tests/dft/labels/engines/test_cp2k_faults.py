"""Faults of CP2K, injected by a program in its place that gives real files, damaged: each is a reason, and the next frame starts cold."""

import os
import re

import numpy as np
import pytest
from ase.units import Hartree
from recorded_cp2k import LIF, SETTINGS, UNCONVERGED, section
from tiny_salts import lithium_fluoride

from ionmelt.errors import UserError
from ionmelt.labels.engines.cp2k import Engine
from ionmelt.labels.engines.cp2k_output import scf_steps

GOOD_RUN = "cat $FAKE/out; cp $FAKE/forces frame-forces-1_0.xyz; cp $FAKE/stress frame-stress-1_0.stress_tensor; echo w > frame-RESTART.wfn"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Return a function that says what the next runs of CP2K do, as shell; every input they got is in seen/."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "fake"
    (folder / "seen").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data" / "GTH_POTENTIALS").write_text("Li GTH-PBE-q3 GTH-PBE\n 3\nF GTH-PBE-q7 GTH-PBE\n 2 5\n")
    (folder / "data" / "BASIS_MOLOPT").write_text("Li DZVP-MOLOPT-SR-GTH\n 1\nF DZVP-MOLOPT-SR-GTH\n 1\n")
    program = folder / "cp2k.ssmp"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--version*) echo " CP2K version 2023.1"; exit;; esac\n'
        "set -- $FAKE/seen/*\n"
        "n=$#; [ -e $1 ] || n=0\n"
        "cp frame.inp $FAKE/seen/$n.inp\n"
        "[ ! -e guess.wfn ] || cp guess.wfn $FAKE/seen/$n.inp.guess\n"
        ". $FAKE/do\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("CP2K_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name, text in LIF.items():
        (folder / name).write_text(text)

    def do(shell: str, **files: str) -> None:
        (folder / "do").write_text(shell + "\n")
        for name, text in {**LIF, **files}.items():
            (folder / name).write_text(text)

    do.inputs = lambda: [
        path.read_text() for path in sorted((folder / "seen").glob("*.inp"), key=lambda p: int(p.stem))
    ]
    return do


def with_energy(text: str) -> str:
    return re.sub(r"(?<=energy \[a\.u\.\]:).*", f"{text:>31}", LIF["out"])


FAULTS = {
    "nan_energy": ("non_finite", GOOD_RUN, {"out": with_energy("NaN")}),
    "nan_scf": ("non_finite", GOOD_RUN, {"out": re.sub(r"(15 OT DIIS .*) -31\.\d+", r"\1            NaN", LIF["out"])}),
    "nan_force": ("non_finite", GOOD_RUN, {"forces": LIF["forces"].replace("0.015452314355", "           NaN")}),
    "asterisks_in_force": ("non_finite", GOOD_RUN, {"forces": LIF["forces"].replace("-0.015684572290", "***************")}),
    "infinite_stress": ("non_finite", GOOD_RUN, {"stress": LIF["stress"].replace("-1.92991412674E+00", "         -Infinity")}),
    "end_missing": ("output_truncated", GOOD_RUN, {"out": LIF["out"].split("  **** **** ******  **  PROGRAM ENDED")[0]}),
    "energy_missing": ("output_truncated", GOOD_RUN, {"out": re.sub(r" ENERGY\|.*\n", "", LIF["out"])}),
    "energies_differ": ("output_truncated", GOOD_RUN, {"out": with_energy("-31.744522864602861")}),
    "forces_cut_in_a_number": ("output_truncated", GOOD_RUN, {"forces": LIF["forces"][:-70]}),
    "forces_empty": ("output_truncated", GOOD_RUN, {"forces": ""}),
    "stress_not_written": ("output_truncated", GOOD_RUN + "; rm frame-stress*", {}),
    "forces_of_another_frame": ("output_truncated", GOOD_RUN + "; cp frame-forces-1_0.xyz frame-forces-1_1.xyz", {}),
    "aborted": ("engine_error", "echo ' *  [ABORT]  *'; exit 1", {}),
    "aborted_by_itself": ("engine_error", "echo ' *  [ABORT]  *'; kill -ABRT $$", {}),
    "killed": ("engine_killed", "cat $FAKE/out; kill -9 $$", {}),
    "segmentation_fault": ("engine_killed", "kill -SEGV $$", {}),
    "disk_full": ("disk_full", f"{GOOD_RUN}; cp $FAKE/out /dev/full; exit 2", {}),
    "disk_full_without_a_word": ("disk_full", "kill -XFSZ $$", {}),
    "not_converged": ("scf_not_converged", GOOD_RUN, {"out": UNCONVERGED}),
    "says_nothing_of_convergence": ("scf_not_converged", GOOD_RUN, {"out": re.sub(r"  outer SCF loop .*\n", "", LIF["out"])}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_reason_and_the_next_frame_starts_cold(fake, fault):
    reason, shell, files = FAULTS[fault]
    engine = Engine(section(SETTINGS), threads=1)
    fake(GOOD_RUN)
    good = engine.label(lithium_fluoride())
    assert good.energy_ev == pytest.approx(-31.744422864602861 * Hartree)
    fake(shell, **files)
    label = engine.label(lithium_fluoride())
    assert (label.reason, label.converged) == (reason, False)
    assert (label.energy_ev, label.forces_ev_a, label.stress_ev_a3) == (None, None, None)
    fake(GOOD_RUN)
    after = engine.label(lithium_fluoride())
    assert (after.reason, after.guess) == (None, "cold")
    assert "SCF_GUESS ATOMIC" in fake.inputs()[-1]
    assert np.array_equal(after.forces_ev_a, good.forces_ev_a)


def test_attempts_differ_in_guess_optimiser_and_length_alone(fake):
    engine = Engine(section(SETTINGS), threads=1)
    fake(GOOD_RUN)
    engine.label(lithium_fluoride())
    fake(GOOD_RUN, out=UNCONVERGED)
    label = engine.label(lithium_fluoride())
    assert label.scf_steps == 4 * scf_steps(UNCONVERGED) > 0
    attempts = fake.inputs()[1:]
    assert [re.findall(r"SCF_GUESS (\w+)", text)[0] for text in attempts] == ["RESTART", "ATOMIC", "ATOMIC", "RESTART"]
    assert len(set(attempts)) == 4
    how = r" *(?:SCF_GUESS|EPS_SCF) .*\n| *&(OT|DIAGONALIZATION|MIXING|OUTER_SCF)\n(?:.*\n)*? *&END \1\n"
    assert len({re.sub(how, "", text) for text in attempts}) == 1
    limits = {float(eps) for text in attempts for eps in re.findall(r"EPS_SCF (\S+)", text)}
    assert max(limits) == SETTINGS["eps_scf"]  # nothing ends sooner than the level of theory asks for


def test_a_guess_that_the_engine_stumbles_over_is_left_behind(fake):
    engine = Engine(section(SETTINGS), threads=1)
    fake(GOOD_RUN)
    engine.label(lithium_fluoride())
    fake(f"[ ! -e guess.wfn ] || exit 1; {GOOD_RUN}")
    label = engine.label(lithium_fluoride())
    assert (label.reason, label.guess) == (None, "retry")


def test_a_frame_that_takes_too_long_is_given_up(fake):
    engine = Engine(section(SETTINGS | {"max_frame_s": 1}), threads=1)
    fake("cat $FAKE/out; exec sleep 600", out=LIF["out"][:3000])
    label = engine.label(lithium_fluoride())
    assert label.reason == "engine_timeout"
    assert label.scf_steps == scf_steps(LIF["out"][:3000]) > 0


def test_what_is_not_cp2k_is_refused(fake, tmp_path):
    (tmp_path / "fake" / "cp2k.ssmp").write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(UserError, match="names no version of CP2K"):
        Engine(section(SETTINGS), threads=1)
