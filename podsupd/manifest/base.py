"""What the schema's models are made of: their base, and the types of single values."""

from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel

from podsupd.manifest import names
from podsupd.manifest.quantities import parse_quantity

INT32 = 2**31 - 1


def _not_empty(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    return value


Label = Annotated[str, AfterValidator(names.dns_label)]
PodName = Annotated[str, AfterValidator(names.dns_subdomain)]
Quantity = Annotated[Fraction, PlainValidator(parse_quantity)]
Seconds = Annotated[int, Field(ge=0, le=INT32)]
Duration = Annotated[float, Field(ge=0, le=INT32, allow_inf_nan=False)]
Word = Annotated[str, AfterValidator(_not_empty)]


class Model(BaseModel):
    """Base of all: camelCase in the manifest, strict types, no surprise."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


def one_of(model: Model, *fields: str, what: str) -> None:
    """Check that exactly one of these fields is given; ValueError with the way out when not."""
    known = type(model).model_fields
    given = [str(known[field].alias) for field in fields if getattr(model, field) is not None]
    if len(given) != 1:
        listed = ", ".join(str(known[field].alias) for field in fields)
        has = f"found {' and '.join(given)}: keep one of them" if given else "found none: add one"
        raise ValueError(f"{what} is exactly one of {listed}, {has}")
