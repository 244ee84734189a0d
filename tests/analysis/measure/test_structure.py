"""Structure against what is known exactly: crystals, the ideal gas, an independent library, and its own errors."""

import math

import mdtraj
import numpy as np
import pytest
from scipy import signal

from ionmelt.measure import numbers, scattering
from ionmelt.measure import radial as measure_radial
from ionmelt.topology import Topology

SHELLS = np.arange(95) * 0.05


def gas(rng: np.random.Generator, frames: int, n: int, edges: np.ndarray) -> np.ndarray:
    return rng.uniform(size=(frames, n, 3)) * edges[:, None, :]


def radial(a: np.ndarray, b: np.ndarray, edges: np.ndarray, shells: np.ndarray, pairs: int) -> measure_radial.Radial:
    out = measure_radial.Radial(shells, a.shape[1], pairs)
    for x, y, cell in zip(a, b, edges, strict=True):
        out.add(*(measure_radial.tree(group, cell) for group in (x, y)), cell)
    return out


def rock_salt(cells: int, d: float) -> tuple[np.ndarray, np.ndarray, float]:
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    sign = grid.sum(axis=1) % 2
    return grid[sign == 0] * d, grid[sign == 1] * d, cells * d


def salt(n: int, elements: tuple[str, str] = ("Li", "F")) -> Topology:
    common = {"smiles": "", "count": n, "types": None, "bonds": []}
    ions = [
        common | {"name": name, "charge": q, "elements": [element], "masses_u": [10.0]}
        for name, q, element in (("cat", 1, elements[0]), ("an", -1, elements[1]))
    ]
    return Topology("salt", ions)


# --- radial distributions -----------------------------------------------------------------------------------


def test_ideal_gas_has_g_of_one_at_any_size_and_pressure_and_no_shell() -> None:
    rng = np.random.default_rng(16)
    edges = np.repeat(rng.uniform(9.5, 10.5, (800, 1)), 3, axis=1)
    like, other = gas(rng, 800, 6, edges), gas(rng, 800, 5, edges)
    for a, b, pairs in ((like, like, 30), (like, other, 30)):
        distribution = radial(a, b, edges, SHELLS, pairs)
        g, error = distribution.g()
        z = (g - 1)[20:] / error[20:]
        assert np.abs(z).max() < 6.5 and 0.8 < z.std() < 1.6  # Student's t of 7 degrees of freedom
        assert np.mean(g[50:]) == pytest.approx(1, abs=0.02)
        number, _ = distribution.running()
        ideal = pairs / 6 * np.mean(4 / 3 * np.pi * SHELLS[-1] ** 3 / edges.prod(axis=1))
        assert number[-1] == pytest.approx(ideal, rel=0.05)
        assert distribution.within(float(SHELLS[-1])).mean() == pytest.approx(number[-1])
        shell = measure_radial.first_shell(distribution)
        assert math.isnan(shell.cut_A) and shell.reason == "no first peak of g(r) within 4.7 A"
        row = measure_radial.coordination_rows("a-b", distribution, shell)[-1]
        assert row["value"] is None and not row["converged"] and row["reason"] == shell.reason


def test_a_gas_seldom_has_a_first_shell() -> None:
    shells = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        edges = np.full((16, 3), 10.0)
        x = gas(rng, 16, 20, edges)
        shells += math.isfinite(measure_radial.first_shell(radial(x, x, edges, SHELLS, 380)).cut_A)
    assert shells <= 2


def test_distribution_is_that_of_mdtraj() -> None:
    rng = np.random.default_rng(17)
    edges = rng.uniform(19, 21, (20, 3))
    x = (rng.uniform(-20, 40, (20, 30, 3))).astype(np.float32)
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in range(30):
        topology.add_atom("X", mdtraj.element.argon, topology.add_residue("X", chain))
    trajectory = mdtraj.Trajectory(
        x / 10, topology, unitcell_lengths=edges / 10, unitcell_angles=np.full((20, 3), 90.0)
    )
    r, g = mdtraj.compute_rdf(trajectory, topology.select_pairs("all", "all"), r_range=(0, 0.9), n_bins=9)
    distribution = radial(x, x, edges, np.arange(10.0), 30 * 29)
    np.testing.assert_allclose(distribution.middle / 10, r, rtol=1e-6)
    np.testing.assert_allclose(distribution.g()[0], g, atol=0.01)


def test_rock_salt_has_its_neighbours_whatever_the_images() -> None:
    a, b, edge = rock_salt(4, 2.8)
    rng = np.random.default_rng(18)
    a, b = (x + edge * rng.integers(-2, 3, x.shape) for x in (a, b))
    here, there = (measure_radial.tree(x, np.full(3, edge)) for x in (a, b))
    near, alike = (measure_radial.pairs_within(here, other, 5.6)["v"] for other in (there, here))
    counter = measure_radial.shell_counts(near, np.array([0, 2.7, 2.9, 4.8, 4.9])) / len(a)
    assert counter.tolist() == [0, 6, 0, 8]
    like = measure_radial.shell_counts(alike, np.array([0, 3.9, 4.0, 5.5])) / len(a)
    assert like.tolist() == [0, 12, 0]


@pytest.mark.parametrize("ions", [12, measure_radial.FEW + 12])
def test_shells_that_last_as_long_as_the_run_widen_the_coordination_number(ions: int) -> None:
    """Around ions far apart, 3, 4 or 5 partners that never leave, and one that comes and goes: of other ions the mean would be another."""
    rng = np.random.default_rng(29)
    frames, edge, partners = 300, 12.0 * ions, rng.permuted(np.resize([3, 4, 5], ions))
    a = np.stack([np.arange(ions) * 12.0, *np.full((2, ions), 6.0)], axis=1)
    apart = rng.normal(size=(frames, partners.sum(), 3))
    apart *= rng.normal(2.0, 0.1, apart.shape[:2])[..., None] / np.linalg.norm(apart, axis=2, keepdims=True)
    far = a + [3.2, 0, 0] + rng.uniform(-0.5, 0.5, (frames, ions, 1)) * [1, 0, 0]
    distribution = measure_radial.Radial(np.arange(140) * 0.05, ions, int(ions * (partners.sum() + ions)))
    for near, rest in zip(np.repeat(a, partners, axis=0) + apart, far, strict=True):
        b = np.concatenate([near, rest])
        trees = (measure_radial.tree(x, np.array([edge, 12.0, 12.0])) for x in (a, b))
        distribution.add(*trees, np.array([edge, 12.0, 12.0]))
    shell = measure_radial.FirstShell(2.0, 3.2, 0.05, 0.05, None)
    row = measure_radial.coordination_rows("a-b", distribution, shell)[-1]
    assert row["value"] == pytest.approx(partners.mean() + 0.5, abs=0.02)
    each, scatter = distribution.within_each(3.2), partners.std(ddof=1) / np.sqrt(ions)
    if ions > measure_radial.FEW:
        assert each is None
    else:
        assert each == pytest.approx(partners + 0.5, abs=0.15)
        assert row["standard_error"] == pytest.approx(scatter, rel=0.1) and row["n_effective"] == ions
        assert not row["converged"] and "ions differ by more" in row["reason"]


def test_a_warm_crystal_has_its_first_shell_with_an_error() -> None:
    a, b, edge = rock_salt(6, 2.8)
    rng = np.random.default_rng(19)
    edges = np.full((64, 3), edge)
    noise = rng.normal(0, 0.15, (2, 64, len(a), 3))
    distribution = radial(a + noise[0], b + noise[1], edges, np.arange(160) * 0.05, len(a) ** 2)
    shell = measure_radial.first_shell(distribution)
    assert shell.reason is None
    assert shell.peak_A == pytest.approx(2.8, abs=0.1) and 3.4 < shell.cut_A < 4.4
    assert 0 < shell.cut_error_A < 0.3
    rows = {row["quantity"]: row for row in measure_radial.coordination_rows("a-b", distribution, shell)}
    assert rows["first_minimum"]["converged"] and rows["first_peak"]["ci95_low"] < 2.83
    number = rows["coordination_number"]
    assert number["value"] == pytest.approx(6, abs=0.02)
    assert rows["first_minimum"]["unit"] == "A" and number["unit"] == "1"


@pytest.mark.parametrize("frames", [1, 7])
def test_few_frames_give_a_reason(frames: int) -> None:
    a, b, edge = rock_salt(6, 2.8)
    noise = np.random.default_rng(20).normal(0, 0.15, (2, frames, len(a), 3))
    distribution = radial(a + noise[0], b + noise[1], np.full((frames, 3), edge), np.arange(160) * 0.05, len(a) ** 2)
    shell = measure_radial.first_shell(distribution)
    assert math.isfinite(shell.cut_A) and shell.reason == f"{frames} frames: too few for an error"
    for row in measure_radial.coordination_rows("a-b", distribution, shell):
        assert not row["converged"] and "too few" in row["reason"] and row["ci95_low"] is None
    assert (
        numbers.curve("rdf", "a-b", "r_A", distribution.middle, *distribution.g())[0]["reason"]
        == "too few frames for an error"
    )


def test_a_peak_of_touching_atoms_is_told_from_a_second_shell() -> None:
    assert (
        measure_radial.is_contact("Li", "O", 1.95)
        and measure_radial.is_contact("Na", "O", 2.4)
        and measure_radial.is_contact("Li", "F", 1.85)
    )
    assert not measure_radial.is_contact("Li", "F", 3.2) and not measure_radial.is_contact("Li", "O", 3.9)


# --- structure factor ---------------------------------------------------------------------------------------


def test_modes_are_the_plain_sum() -> None:
    rng = np.random.default_rng(21)
    edges = np.array([8.0, 9.0, 11.0])
    x, members = rng.uniform(-10, 20, (25, 3)), rng.integers(0, 2, (25, 3)).astype(float)
    indices = scattering.reciprocal_vectors(edges, 4.0, 0.5, 10**6)
    q = 2 * np.pi * indices / edges
    np.testing.assert_allclose(
        scattering.density_modes(x, edges, indices, members), np.exp(1j * q @ x.T) @ members, atol=1e-9
    )
    # half of all vectors but the origin, none twice, none with its opposite
    top = np.floor(4.0 * edges / (2 * np.pi)).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in top], indexing="ij"), -1).reshape(-1, 3)
    inside = np.linalg.norm(2 * np.pi * grid / edges, axis=1) <= 4.0
    assert 2 * len(indices) + 1 == inside.sum()
    both = {tuple(v) for v in indices.tolist()} | {tuple(v) for v in (-indices).tolist()}
    assert len(both) == 2 * len(indices)
    thin = scattering.reciprocal_vectors(edges, 4.0, 0.5, 7)
    binned = np.bincount((np.linalg.norm(2 * np.pi * thin / edges, axis=1) / 0.5).astype(int))
    assert binned.max() <= 8 and {tuple(v) for v in thin.tolist()} <= both


def factors(
    topology: Topology, frames: np.ndarray, edges: np.ndarray, q_max: float
) -> dict[tuple[str, str], np.ndarray]:
    factor = scattering.StructureFactor(topology, edges[0], q_max)
    for x, cell in zip(frames, edges, strict=True):
        factor.add(x, cell)
    out: dict[tuple[str, str], list[list[float]]] = {}
    for row in factor.rows():
        out.setdefault((row["quantity"], row["pair"]), []).append([row["q_per_A"], row["value"], row["standard_error"]])
    return {key: np.array(values) for key, values in out.items()}


def test_an_ideal_gas_scatters_as_its_atoms_do() -> None:
    rng = np.random.default_rng(22)
    edges = np.repeat(rng.uniform(11.5, 12.5, (200, 1)), 3, axis=1)
    factors_of = factors(salt(20, ("H", "O")), gas(rng, 200, 40, edges), edges, 5.0)
    for name in ("structure_factor_xray", "structure_factor_neutron"):
        _, s, error = factors_of[name, "all"].T
        assert np.mean(s[30:]) == pytest.approx(1, abs=0.01)  # bins of lower q hold few vectors
        assert np.abs((s - 1) / error).max() < 6.5
    for pair in ("cat-cat", "cat-an", "an-an"):
        assert np.mean(factors_of["structure_factor_xray_partial", pair][30:, 1]) == pytest.approx(0, abs=0.01)


def test_a_crystal_has_its_bragg_peaks_and_partials_add_up() -> None:
    """Rock salt: N <f>^2-scaled |f_a +- f_b|^2 at the Bragg vectors of all-even and all-odd indices, 0 elsewhere."""
    a, b, edge = rock_salt(4, 2.5)
    topology = salt(len(a))
    edges = np.full((1, 3), edge)
    factor = scattering.StructureFactor(topology, edges[0], 5.0)
    modes = scattering.density_modes(np.concatenate([a, b]), edges[0], factor.indices, factor.members)
    q = np.linalg.norm(2 * np.pi * factor.indices / edge, axis=1)
    frame = factor._frame(q, modes)
    f = np.column_stack([scattering.xray_factor(x, q) for x in ("Li", "F")])
    mean = f.mean(axis=1)
    n, cell = 2 * len(a), factor.indices / 2  # the cell of 4 x 4 x 4 sites holds 2 x 2 x 2 unit cells of 2 d
    whole = (cell == np.rint(cell)).all(axis=1)
    even, odd = (whole & (np.rint(cell) % 2 == r).all(axis=1) for r in (0, 1))
    assert even.any() and odd.any()
    self_scattering = (f**2).sum(axis=1) / 2 / mean**2
    expected = np.where(even, n * ((f[:, 0] + f[:, 1]) / 2) ** 2, np.where(odd, n * ((f[:, 0] - f[:, 1]) / 2) ** 2, 0))
    np.testing.assert_allclose(
        frame["structure_factor_xray", "all"], 1 + expected / mean**2 - self_scattering, atol=1e-8
    )
    parts = [frame["structure_factor_xray_partial", pair] for pair in ("cat-cat", "cat-an", "an-an")]
    np.testing.assert_allclose(1 + sum(parts), frame["structure_factor_xray", "all"], atol=1e-9)
    lengths = [scattering.neutron_length(x) for x in ("Li", "F")]
    bragg = np.where(even, (sum(lengths) / 2) ** 2, np.where(odd, ((lengths[0] - lengths[1]) / 2) ** 2, 0))
    np.testing.assert_allclose(
        frame["structure_factor_neutron", "all"], n * bragg / np.mean(np.square(lengths)), atol=1e-8
    )


def test_structure_factor_is_the_transform_of_g() -> None:
    """Hard-core pairs of one element: S(q) from the modes against 1 + 4 pi rho integral (g - 1) r^2 sin(qr)/(qr)."""
    rng = np.random.default_rng(23)
    edge, n = 16.0, 60
    frames = []
    while len(frames) < 60:  # random sequential adsorption of spheres of 2 A
        x = np.empty((0, 3))
        while len(x) < n:
            new = rng.uniform(0, edge, 3)
            d = x - new
            d -= np.rint(d / edge) * edge
            if not len(x) or (d**2).sum(axis=1).min() > 4.0:
                x = np.vstack([x, new])
        frames.append(x)
    x, edges = np.array(frames), np.full((60, 3), edge)
    factor = factors(salt(n // 2, ("Li", "Li")), x, edges, 6.0)["structure_factor_xray", "all"]
    g = radial(x, x, edges, np.arange(161) * 0.05, n * (n - 1))
    r, (h, _) = g.middle, g.g()
    q = factor[:, 0][factor[:, 0] > 1.5]
    expected = 1 + 4 * np.pi * n / edge**3 * ((h - 1) * r * np.sin(q[:, None] * r) * 0.05).sum(axis=1) / q
    seen = factor[factor[:, 0] > 1.5, 1]
    assert np.sqrt(np.mean((seen - expected) ** 2)) < 0.06
    assert np.ptp(expected) > 0.2  # there is a peak to be found


def test_a_cell_too_small_has_no_rows() -> None:
    topology = salt(1)
    factor = scattering.StructureFactor(topology, np.full(3, 0.7), 5.0)
    factor.add(np.zeros((2, 3)), np.full(3, 0.7))
    assert factor.rows() == []


# --- numbers with errors ------------------------------------------------------------------------------------


def telegraph(rng: np.random.Generator, frames: int, ions: int, p: float, time: float) -> np.ndarray:
    """Two-state chains (frames, ions) of stationary share p that forget in ``time`` frames."""
    keep = math.exp(-1 / time)
    x = np.empty((frames, ions), dtype=bool)
    x[0] = rng.uniform(size=ions) < p
    for t in range(1, frames):
        fresh = rng.uniform(size=ions) > keep
        x[t] = np.where(fresh, rng.uniform(size=ions) < p, x[t - 1])
    return x


@pytest.mark.parametrize(("time", "frames"), [(1.0, 400), (15.0, 1000)])
def test_intervals_of_shares_cover(time: float, frames: int) -> None:
    rng = np.random.default_rng(24)
    covered = converged = 0
    cases = 150
    for _ in range(cases):
        row = numbers.mean_row(telegraph(rng, frames, 8, 0.2, time), fraction=True)
        covered += row["ci95_low"] <= 0.2 <= row["ci95_high"]
        converged += row["converged"]
    assert 0.91 <= covered / cases <= 0.995
    assert converged / cases > 0.85


def test_ions_that_never_change_are_not_converged_but_their_scatter_is_the_error() -> None:
    rng = np.random.default_rng(25)
    frozen = np.repeat((rng.uniform(size=(1, 50)) < 0.3), 400, axis=0)
    row = numbers.mean_row(frozen, fraction=True)
    assert row["ci95_low"] is None and row["reason"] == "no ion changed in this run"
    few = frozen.astype(float)
    few[:, :5] = telegraph(rng, 400, 5, 0.5, 3.0)
    row = numbers.mean_row(few, fraction=True)
    assert not row["converged"] and "slower than the run" in row["reason"]
    assert row["standard_error"] == pytest.approx(math.sqrt(0.3 * 0.7 / 50), rel=0.3)


def test_what_does_not_vary_says_so() -> None:
    assert numbers.mean_row(np.zeros((100, 3)), fraction=True)["reason"] == "never seen in this run"
    assert numbers.mean_row(np.ones((100, 3)), fraction=True)["reason"] == "nothing else seen in this run"
    assert numbers.mean_row(np.full((100, 1), 2.0))["reason"] == "the same in every frame"
    assert numbers.mean_row(np.ones((3, 1)))["reason"] == "3 samples: too few"
    assert numbers.mean_row(np.ones((0, 1)))["reason"] == "no frames"


def test_ratio_has_the_mean_and_the_error_of_a_ratio() -> None:
    rng = np.random.default_rng(26)
    ratios, errors = [], []
    for _ in range(200):
        whole = rng.poisson(3, (300, 4)) + signal.lfilter([1], [1, -0.5], rng.normal(size=(300, 4)), axis=0) ** 2
        share = whole * rng.uniform(0.3, 0.5, whole.shape)
        samples = numbers.ratio_samples(share, whole)
        assert samples is not None
        assert samples.mean() == pytest.approx(share.sum() / whole.sum())
        row = numbers.mean_row(samples)
        ratios.append(row["value"])
        errors.append(row["standard_error"])
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.35)
    assert numbers.ratio_samples(np.zeros((5, 1)), np.zeros((5, 1))) is None
