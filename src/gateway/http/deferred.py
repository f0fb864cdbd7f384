"""Parts of a body that are checked after something else: documented, but taken as they come."""

from typing import Any, Generic, TypeVar, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from gateway.contracts.canonical import Json

Value = TypeVar("Value")


class Deferred(Generic[Value]):
    """A part of a body, unchecked; its schema is that of what it should be."""

    def __init__(self, raw: Json) -> None:
        self.raw = raw

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[object], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Keep what is given, and remember what it should be."""
        (wanted,) = get_args(source)
        return core_schema.no_info_plain_validator_function(
            cls, metadata={"pydantic_js_functions": [_schema_of(handler.generate_schema(wanted))]}
        )


def _schema_of(wanted: CoreSchema) -> Any:  # noqa: ANN401 - a function that pydantic calls
    def schema(_own: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(wanted)

    return schema
