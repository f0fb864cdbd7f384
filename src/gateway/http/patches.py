"""JSON merge patches (RFC 7396): null removes, objects are merged, all else replaces."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from gateway.contracts.canonical import Json
from gateway.errors import InvalidFieldsError
from gateway.http.faults import faults_in
from gateway.http.schemas import Body

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")


class Patch(Generic[Model]):
    """A merge patch of what a model describes; its fields are those of the model, all optional."""

    def __init__(self, changes: dict[str, Json]) -> None:
        self.changes = changes

    def apply_to(self, present: Model) -> Model:
        """Return what a thing is after the patch; what the patch removes takes its default.

        Raises:
            InvalidFieldsError: The result does not hold; pointers are those of the patch.
        """
        document = merge_patch(present.model_dump(mode="json", by_alias=True), self.changes)
        return validated(type(present), document)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[object], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Hold what is given against the optional form of the model, and keep it as it came."""
        (model,) = get_args(source)
        return core_schema.no_info_wrap_validator_function(_checked, handler(_optional(model)))


def merge_patch(document: Json, patch: Json) -> Json:
    """Return a document after a merge patch."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Json] = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def validated(model: type[Model], document: Json, *, prefix: str = "") -> Model:
    """Return a model of a document.

    Raises:
        InvalidFieldsError: The document does not hold; pointers begin with the prefix.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _invalid(error, document, prefix) from error


def validated_type(adapter: TypeAdapter[Value], document: Json, *, prefix: str = "") -> Value:
    """Return a document as a type has it, such as a union of models.

    Raises:
        InvalidFieldsError: The document does not hold; pointers begin with the prefix.
    """
    try:
        return adapter.validate_python(document)
    except ValidationError as error:
        raise _invalid(error, document, prefix) from error


def _invalid(error: ValidationError, document: Json, prefix: str) -> InvalidFieldsError:
    return InvalidFieldsError(
        "Some fields do not hold; `errors` names them.",
        faults=faults_in(error, body=document, prefix=prefix),
    )


def _checked(given: Json, check: ValidatorFunctionWrapHandler) -> Patch[Any]:
    check(given)
    return Patch(given)


def _optional(model: type[BaseModel]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: _optional_field(field) for name, field in model.model_fields.items()
    }
    return create_model(
        f"{model.__name__}Patch", __base__=Body, __doc__=f"A merge patch. {model.__doc__}", **fields
    )


def _optional_field(field: FieldInfo) -> tuple[Any, Any]:
    annotation: Any = Union[tuple(_optional_choices(field.annotation))]  # noqa: UP007 - made here
    if field.metadata:
        annotation = Annotated[(annotation, *field.metadata)]
    shown = Field(
        default=None,
        description=field.description,
        examples=field.examples,
        alias=field.alias,
    )
    return annotation | None, shown


def _optional_choices(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - annotations are anything
    if get_origin(annotation) in (Union, UnionType):
        for choice in get_args(annotation):
            yield from _optional_choices(choice)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield _optional(annotation)
    elif annotation is not NoneType:
        yield annotation
