"""Whether a document still says everything that an earlier one said: contracts only grow.

Readers hold on to what a schema promises: that a field is described, that it is always there, and
which JSON types its value may have. A promise that is missing later is a loss to them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

Document = Mapping[str, Any]

_ANYTHING: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


@dataclass(frozen=True, slots=True)
class _Promise:
    """What is promised of one field."""

    types: frozenset[str]
    always: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """One way in which a value may look."""

    types: frozenset[str] = _ANYTHING
    required: frozenset[str] = frozenset()
    properties: Mapping[str, list[Document]] = field(default_factory=dict)
    items: list[Document] = field(default_factory=list)

    def __and__(self, other: "_Shape") -> "_Shape":
        """Return the shape of what is both."""
        names = {**self.properties, **other.properties}
        return _Shape(
            types=self.types & other.types,
            required=self.required | other.required,
            properties={
                name: [*self.properties.get(name, []), *other.properties.get(name, [])]
                for name in names
            },
            items=[*self.items, *other.items],
        )


def losses(earlier: Document, later: Document) -> list[str]:
    """Return what of an AsyncAPI document or of webhooks a later one does not say any more."""
    before, after = dict(_schemas(earlier)), dict(_schemas(later))
    found = []
    for name, schema in before.items():
        if name not in after:
            found.append(f"{name} is gone")
            continue
        promised = dict(_promises(earlier, [schema], ""))
        kept = dict(_promises(later, [after[name]], ""))
        found += [f"{name}: {fault}" for fault in _compare(promised, kept)]
    return found


def _schemas(document: Document) -> Iterator[tuple[str, Document]]:
    """Yield the schemas of all messages of a document, under names for people."""
    for channel, described in document.get("channels", {}).items():
        for name, message in described["messages"].items():
            yield f"{channel} {name} headers", message["headers"]
            yield f"{channel} {name}", message["payload"]
    for name, webhook in document.get("webhooks", {}).items():
        yield name, webhook["post"]["requestBody"]["content"]["application/json"]["schema"]


def _compare(before: Mapping[str, _Promise], after: Mapping[str, _Promise]) -> Iterator[str]:
    for path, promise in before.items():
        now = after.get(path)
        if now is None:
            yield f"{path} is not described any more"
            continue
        if promise.always and not now.always:
            yield f"{path} may be absent now"
        if wider := now.types - promise.types:
            yield f"{path} may be {' or '.join(sorted(wider))} now"


def _promises(
    document: Document, schemas: Iterable[Document], path: str
) -> Iterator[tuple[str, _Promise]]:
    """Yield what all these schemas together promise of a value and of everything in it."""
    shapes = _all_of(document, schemas)
    objects = [shape for shape in shapes if shape.properties]
    for name in dict.fromkeys(name for shape in objects for name in shape.properties):
        held = [shape for shape in objects if name in shape.properties]
        always = all(name in shape.required for shape in objects)
        types = [each.types for shape in held for each in _all_of(document, shape.properties[name])]
        here = f"{path}/{name}"
        yield here, _Promise(frozenset().union(*types), always)
        for shape in held:
            yield from _promises(document, shape.properties[name], here)
    for shape in shapes:
        if shape.items:
            yield from _promises(document, shape.items, f"{path}[]")


def _all_of(document: Document, schemas: Iterable[Document]) -> list[_Shape]:
    """Return the shapes of a value for which all these schemas hold."""

    def both(one: list[_Shape], other: list[_Shape]) -> list[_Shape]:
        met = [left & right for left in one for right in other]
        return [shape for shape in met if shape.types]

    return reduce(both, (_shapes(document, schema) for schema in schemas), [_Shape()])


def _shapes(document: Document, schema: Document) -> list[_Shape]:
    if "$ref" in schema:
        return _shapes(document, _follow(document, schema["$ref"]))
    own = _Shape(
        types=_types(schema),
        required=frozenset(schema.get("required", ())),
        properties={name: [each] for name, each in schema.get("properties", {}).items()},
        items=[schema["items"]] if "items" in schema else [],
    )
    together = _all_of(document, schema.get("allOf", ()))
    for variants in ("anyOf", "oneOf"):
        if variants in schema:
            each_way = [shape for each in schema[variants] for shape in _shapes(document, each)]
            together = [left & right for left in together for right in each_way]
    return [own & shape for shape in together]


def _types(schema: Document) -> frozenset[str]:
    if "type" in schema:
        given = schema["type"]
        return frozenset([given] if isinstance(given, str) else given)
    if "const" in schema:
        return frozenset({_type_of(schema["const"])})
    return _ANYTHING


def _type_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case _:
            raise TypeError(type(value).__name__)


def _follow(document: Document, reference: str) -> Document:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    schema: Document = found
    return schema
