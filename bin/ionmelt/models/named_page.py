"""docs/named.md: the table of named models as a page."""

from ionmelt.models.named import ROWS, NamedModel

INTRODUCTION = """\
# Models by their names

Made of `bin/ionmelt/models/named.py` by `docs/build --write`.

```yaml
- {id: sevennet, framework: named, model: sevennet-0}
- {id: sevennet_d3, framework: named, model: sevennet-0, dispersion: {functional: PBE}}
- {id: mpa0, framework: named, model: mace-mpa-0-medium, weights: mace-mpa-0-medium.model}
```

How each is checked and what it needs: [models.md](models.md#by-name). A digest that its project publishes is that of the row; `sha256` of the study
is asked for else. Where it publishes energies of some atoms (MACE), those of the file are compared with them. *Run here*: this program has imported it and found its forces and stress to be derivatives of its energy. `tests/foundation` asks the
same of every row whose weights are in a package. All other rows were written from the source of their
libraries and have never computed anything: unverified. Each *runs in* an environment or image of its name, made from a hash-pinned list
(`containers/NAME/requirements.txt`). Those of libraries that stand alone (aimnet, fairchem, grace, mattersim, nequix, orb, upet) were set up once (Linux,
Python 3.12, 6 to 7 GB each): their calculators are there and take the arguments of the rows. No file of their weights was at hand. Their environment is made by the first task that asks for it, their image
by `containers/build NAME`. `environment` or `image` of the study puts one of yours in their place.

"""


def where(row: NamedModel) -> str:
    """Say where the weights of a model are."""
    if row.shipped:
        return f"in {row.requires[0]}"
    if not row.needs_file:
        return "where its library keeps them"
    published = ", sha256 published" if row.sha256 else ""
    return f"`fetch_weights.py`{published}" if row.address else "a file of yours"


def page() -> str:
    """Return docs/named.md."""
    heads = (
        "name", "level of theory", "dispersion in its data", "D3(BJ) to add", "reads", "weights", "runs in", "licence", "run here",
    )  # fmt: skip
    lines = [heads, ("---",) * len(heads)]
    for row in ROWS:
        reads = " and ".join(name for name, used in (("charge", row.charge), ("spin", row.spin)) if used)
        run_here = "yes" if row.runs_here else "unverified"
        theory = row.theory or "of its head"
        lines.append(
            (
                f"`{row.name}`",
                theory,
                row.dispersion,
                row.d3 or "-",
                reads or "-",
                where(row),
                row.environment,
                row.licence,
                run_here,
            )
        )
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"- `{row.name}`: {row.reference}{f'; {row.note}' if row.note else ''}." for row in ROWS)
    return f"{INTRODUCTION}{table}\n\n{notes}\n"
