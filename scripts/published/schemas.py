"""JSON Schemas of the published models, as components of a document."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

Schema = dict[str, Any]

_PREFIX: Final = "#/components/schemas/"
# What pydantic calls a model whose name another one has, too.
_QUALIFIED: Final = re.compile(r"gateway__contracts__([a-z_]+?)__([A-Z]\w*)")


class _Outgoing(GenerateJsonSchema):
    """Describes what we write, without defaults and titles, which tell readers nothing."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - as pydantic has it
        return False


def components(models: Mapping[str, type[BaseModel]]) -> dict[str, Schema]:
    """Return the schemas of models under the names given, and of all that they refer to.

    They describe what we write: a field that is always there is required.
    """
    keys, found = models_json_schema(
        [(model, "serialization") for model in models.values()],
        schema_generator=_Outgoing,
        ref_template=_PREFIX + "{model}",
    )
    schemas: dict[str, Schema] = found["$defs"]
    names = {name: _readable(name) for name in schemas}
    names |= {_name(keys[model, "serialization"]): name for name, model in models.items()}
    if len(set(names.values())) < len(names):
        raise ValueError(f"Two published models would be called the same: {sorted(names.items())}")
    renamed = {names[name]: _renamed(schema, names) for name, schema in schemas.items()}
    for schema in renamed.values():
        schema.pop("title", None)
    return dict(sorted(renamed.items()))


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": _PREFIX + name}


def paragraphs(model: type[BaseModel]) -> tuple[str, str]:
    """Return the first line of a model's docstring, and all of it."""
    text = re.sub(r"\n[ \t]+", "\n", (model.__doc__ or "").strip())
    return text.partition("\n")[0], text


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).removeprefix(_PREFIX)


def _readable(name: str) -> str:
    found = _QUALIFIED.fullmatch(name)
    if found is None:
        return name
    module, short = found.groups()
    return f"Inbound{short}" if module.startswith("inbound") else short


def _renamed(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        return value | ref(names[_name(value)])
    return {name: _renamed(each, names) for name, each in value.items()}
