"""From a study file's content to a study, or to one line for each mistake."""

from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ionmelt.dataset.settings import Split
from ionmelt.dynamics.settings import Md
from ionmelt.liquid.settings import Equilibration, Liquid
from ionmelt.mistakes import NO_SECTION, Place, Wrong, brief, explained, one_line, path_text
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import AnyModel
from ionmelt.settings import Section
from ionmelt.study.schema import Study

MODELS: dict[str, type[AnyModel]] = {name: framework.settings for name, framework in FRAMEWORKS.items()}


@dataclass
class Problems:
    """The mistakes found so far, each with the place that it is at."""

    found: list[tuple[tuple[Any, ...], str]] = field(default_factory=list)

    def add(self, loc: tuple[Any, ...], text: str) -> None:
        """Note a mistake at `loc`."""
        self.found.append((loc, text))

    def lines(self) -> list[str]:
        """Return one line for each mistake, in the order of the study file's sections."""
        order = list(Study.model_fields)

        def place(entry: tuple[tuple[Any, ...], str]) -> tuple[int, int]:
            loc = entry[0]
            section = order.index(loc[0]) if loc and loc[0] in order else -1
            return section, loc[1] if len(loc) > 1 and isinstance(loc[1], int) else -1

        texts = (one_line(f"{path_text(loc)}: {text}") for loc, text in sorted(self.found, key=place))
        return list(dict.fromkeys(texts))


@cache
def adapter(cls: type[Section], name: str) -> TypeAdapter[Any]:
    """Return what validates one field of a section by itself."""
    info: FieldInfo = cls.model_fields[name]
    annotation: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotation)


def partial(
    cls: type[Section], raw: Any, loc: tuple[Any, ...], problems: Problems, skip: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return the fields of a section that are right, by name, and note what is wrong with the others.

    So that one mistake does not hide the next: what can still be judged, is judged. Fields in `skip` are left to the caller.
    """
    if not isinstance(raw, dict):
        problems.add(loc, NO_SECTION.format(value=brief(raw)))
        return {}
    values: dict[str, Any] = {}
    for key in raw:
        if key not in cls.model_fields:
            problems.add((*loc, key), Wrong("extra_forbidden", Place((key,), cls)).said())
    for name, info in cls.model_fields.items():
        if name in skip:
            continue
        if name in raw:
            values |= right_value(cls, name, raw[name], loc, problems)
        elif info.is_required():
            problems.add((*loc, name), Wrong("missing", Place((name,), cls)).said())
        else:
            values[name] = info.get_default(call_default_factory=True)
    return values


def right_value(cls: type[Section], name: str, value: Any, loc: tuple[Any, ...], problems: Problems) -> dict[str, Any]:
    """Return a field of a section with its value, or nothing and note what is wrong; of a mapping the right entries are kept."""
    try:
        return {name: adapter(cls, name).validate_python(value)}
    except ValidationError as error:
        entries = error.errors()
    wrong = set()
    for entry in entries:
        inside = any(other["loc"][:-1] == entry["loc"] for other in entries if other["loc"])
        if entry["type"] == "too_short" and inside:  # it counts only the items that are right
            continue
        place, text = explained({**entry, "loc": (name, *entry["loc"])}, cls)
        problems.add((*loc, *place), text)
        wrong.add(place[1] if len(place) > 1 else None)
    if isinstance(value, dict) and None not in wrong:
        try:
            return {name: adapter(cls, name).validate_python({k: v for k, v in value.items() if k not in wrong})}
        except ValidationError:
            pass
    return {}


@dataclass
class Draft:
    """A study as far as it could be read: sections by name, liquids and models by their place in the file."""

    sections: dict[str, Any]
    liquids: dict[int, dict[str, Any]]
    models: dict[int, dict[str, Any]]

    def get(self, section: str, name: str | None = None) -> Any:
        """Return a section, or a field of it; None where it is absent or wrong."""
        found = self.sections.get(section)
        if name is None or found is None:
            return found
        return found.get(name) if isinstance(found, dict) else getattr(found, name, None)


def read_draft(raw: Any, problems: Problems) -> Draft:
    """Return what is right in a study file's content, and note everything that is not."""
    draft = Draft({}, {}, {})
    if not isinstance(raw, dict):
        problems.add((), f"{brief(raw)} is not a study: give name: value lines, as in studies/demo.yaml")
        return draft
    apart: dict[str, type[Section]] = {"equilibration": Equilibration, "split": Split, "md": Md}
    lists = [name for name in ("liquids", "models") if name in raw]
    present = [name for name in apart if name in raw]
    draft.sections = partial(Study, raw, (), problems, skip=frozenset([*lists, *present]))
    for name in present:
        draft.sections[name] = partial(apart[name], raw[name], (name,), problems)
    for name in lists:
        value = raw[name]
        if not isinstance(value, list) or not value:
            text = "empty: give at least 1" if value == [] else f"{brief(value)} is not a list: give [...]"
            problems.add((name,), text)
            continue
        for index, item in enumerate(value):
            if name == "liquids":
                draft.liquids[index] = partial(Liquid, item, (name, index), problems)
                continue
            framework = item.get("framework") if isinstance(item, dict) else None
            if isinstance(item, dict) and (not isinstance(framework, str) or framework not in MODELS):
                text = "missing" if "framework" not in item else brief(framework)
                problems.add((name, index, "framework"), f"{text}: give one of {', '.join(MODELS)}")
                continue
            cls = MODELS.get(framework or "", AnyModel)
            draft.models[index] = partial(cls, item, (name, index), problems)
    return draft
