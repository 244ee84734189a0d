"""From a study file's content to a study, or to one line for each mistake."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ionmelt.dataset.settings import Split
from ionmelt.dynamics.settings import Md
from ionmelt.liquid.settings import Equilibration, Liquid
from ionmelt.mistakes import NO_SECTION, Position, Wrong, brief, did_you_mean, explained, one_line, path_text
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import AnyModel
from ionmelt.settings import Section
from ionmelt.study.schema import Study

AnySection = TypeVar("AnySection", bound=Section)


@dataclass
class Problems:
    """The mistakes so far, each with where it is."""

    mistakes: list[tuple[tuple[Any, ...], str]] = field(default_factory=list)

    def add(self, loc: tuple[Any, ...], text: str) -> None:
        """Note a mistake at `loc`."""
        self.mistakes.append((loc, text))

    def within(self, loc: tuple[Any, ...]) -> bool:
        """Tell whether there is a mistake at `loc` or in what it holds."""
        return any(where[: len(loc)] == loc for where, _ in self.mistakes)

    def lines(self) -> list[str]:
        """Return one line for each mistake, in the order of the study file's sections."""
        order = list(Study.model_fields)

        def position(entry: tuple[tuple[Any, ...], str]) -> tuple[int, int]:
            loc = entry[0]
            section = order.index(loc[0]) if loc and loc[0] in order else -1
            return section, loc[1] if len(loc) > 1 and isinstance(loc[1], int) else -1

        texts = (one_line(f"{path_text(loc)}: {text}") for loc, text in sorted(self.mistakes, key=position))
        return list(dict.fromkeys(texts))


@cache
def adapter(cls: type[Section], name: str) -> TypeAdapter[Any]:
    """Return what validates one field of a section by itself."""
    info: FieldInfo = cls.model_fields[name]
    annotation: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotation)


def partial(
    cls: type[AnySection], raw: Any, loc: tuple[Any, ...], problems: Problems, skip: frozenset[str] = frozenset()
) -> AnySection:
    """Return a section with None for the fields that are wrong, and note what is wrong with them.

    So that one mistake does not hide the next: what can still be judged, is judged. Its `model_fields_set` has the names of the
    fields that are right, given or left out. Fields in `skip` are left to the caller.
    """
    right: dict[str, Any] = {}
    if not isinstance(raw, dict):
        problems.add(loc, NO_SECTION.format(value=brief(raw)))
    else:
        for key in raw:
            if key not in cls.model_fields:
                problems.add((*loc, key), Wrong("extra_forbidden", Position((key,), cls)).said())
        for name in (name for name in cls.model_fields if name not in skip):
            right |= right_field(cls, name, raw, loc, problems)
    return cls.model_construct(_fields_set=set(right), **dict.fromkeys(cls.model_fields) | right)


def right_field(
    cls: type[Section], name: str, raw: Mapping[str, Any], loc: tuple[Any, ...], problems: Problems
) -> dict[str, Any]:
    """Return a field of a section, given or left out, with its value; or nothing, and note what is wrong."""
    if name in raw:
        return right_value(cls, name, raw[name], loc, problems)
    info = cls.model_fields[name]
    if info.is_required():
        problems.add((*loc, name), Wrong("missing", Position((name,), cls)).said())
        return {}
    return {name: info.get_default(call_default_factory=True)}


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
        where, text = explained({**entry, "loc": (name, *entry["loc"])}, cls)
        problems.add((*loc, *where), text)
        wrong.add(where[1] if len(where) > 1 else None)
    if isinstance(value, dict) and None not in wrong:
        try:
            return {name: adapter(cls, name).validate_python({k: v for k, v in value.items() if k not in wrong})}
        except ValidationError:
            pass
    return {}


@dataclass
class Draft:
    """A study as far as it could be read: None is what is wrong or left out; liquids and models are by their place in the file."""

    study: Study
    liquids: dict[int, Liquid] = field(default_factory=dict)
    models: dict[int, AnyModel] = field(default_factory=dict)


def read_draft(raw: Any, problems: Problems) -> Draft:
    """Return what is right in a study file's content, and note everything that is not."""
    if not isinstance(raw, dict):
        problems.add((), f"{brief(raw)} is not a study: give name: value lines, as in studies/demo.yaml")
        return Draft(partial(Study, {}, (), Problems()))
    apart: dict[str, type[Section]] = {"equilibration": Equilibration, "split": Split, "md": Md}
    lists = [name for name in ("liquids", "models") if name in raw]
    present = [name for name in apart if name in raw]
    study = partial(Study, raw, (), problems, skip=frozenset([*lists, *present]))
    sections = {name: partial(apart[name], raw[name], (name,), problems) for name in present}
    draft = Draft(study.model_copy(update=sections))
    for index, item in items_of(raw, "liquids", problems):
        draft.liquids[index] = partial(Liquid, item, ("liquids", index), problems)
    for index, item in items_of(raw, "models", problems):
        if (cls := model_class(item, index, problems)) is not None:
            draft.models[index] = partial(cls, item, ("models", index), problems)
    return draft


def items_of(raw: Mapping[str, Any], name: str, problems: Problems) -> list[tuple[int, Any]]:
    """Return the items of a list of sections by their places; nothing where it is no list, which is noted."""
    value = raw.get(name)
    if name in raw and (not isinstance(value, list) or not value):
        text = "empty: give at least 1" if value == [] else f"{brief(value)} is not a list: give [...]"
        problems.add((name,), text)
    return list(enumerate(value)) if isinstance(value, list) else []


def model_class(item: Any, index: int, problems: Problems) -> type[AnyModel] | None:
    """Return the class of a model's settings; None where its framework is wrong, which is noted."""
    if not isinstance(item, dict):
        problems.add(("models", index), NO_SECTION.format(value=brief(item)))
        return None
    framework = item.get("framework")
    if isinstance(framework, str) and framework in FRAMEWORKS:
        return FRAMEWORKS[framework].settings
    text = "missing" if "framework" not in item else brief(framework)
    like = did_you_mean(framework, FRAMEWORKS) if isinstance(framework, str) else ""
    problems.add(("models", index, "framework"), f"{text}: {like}give one of {', '.join(FRAMEWORKS)}")
    return None
