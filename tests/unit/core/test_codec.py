"""Values in and out: every JSON value, dataclass and model makes the round trip; what does not fit is named."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import PayloadError
from holdfast.core.codec import decode_json, decoder_for, encode, schema_for
from tests.play import Anything

MIB = 1024 * 1024

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@dataclasses.dataclass
class Item:
    sku: str
    quantity: int = 1


@dataclasses.dataclass
class Order:
    items: list[Item]
    note: str | None = None


class Address(pydantic.BaseModel):
    street: str
    since: datetime


class Colour(Enum):
    RED = "red"


def written(value: object) -> bytes:
    return encode(value, "it", limit=MIB)


def read(annotation: object, value: object) -> Anything:
    return decoder_for(annotation, "it")(written(value))


@given(json_values)
def test_any_json_value_makes_the_round_trip(value: object) -> None:
    assert decode_json(written(value)) == value


@given(json_values)
def test_an_undeclared_type_is_read_as_plain_json(value: object) -> None:
    assert read(Any, value) == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Order, Order([Item("a", 2), Item("b")], "soon")),
        (Address, Address(street="Main", since=datetime(2024, 1, 2, tzinfo=UTC))),
        (list[Item], [Item("a")]),
        (dict[str, Address], {"home": Address(street="x", since=datetime(2024, 1, 1, tzinfo=UTC))}),
        (datetime, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        (timedelta, timedelta(minutes=5)),
        (Decimal, Decimal("1.10")),
        (UUID, UUID(int=5)),
        (Colour, Colour.RED),
        (set[int], {1, 2}),
        (tuple[int, str], (1, "a")),
        (bytes, b"text"),
        (int | None, None),
        (float, 1),
    ],
)
def test_a_declared_type_comes_back_as_itself(annotation: object, value: object) -> None:
    assert read(annotation, value) == value


def test_each_reading_makes_a_new_object() -> None:
    decode = decoder_for(dict[str, list[int]], "it")
    raw = written({"a": [1]})

    first, second = decode(raw), decode(raw)
    first["a"].append(2)

    assert second == {"a": [1]}


@pytest.mark.parametrize(
    ("annotation", "value", "field", "text"),
    [
        (Order, {"items": [{"sku": "a"}, {"sku": "b", "quantity": "many"}]}, "items.1.quantity", "valid integer"),
        (Order, {}, "items", "Field required"),
        (Address, {"street": 5, "since": "2024-01-01T00:00:00Z"}, "street", "valid string"),
        (int, "x", "", "valid integer"),
        (list[int], {"a": 1}, "", "valid array"),
        (str, 5, "", "valid string"),
    ],
)
def test_a_misfit_names_the_field_and_not_the_value(annotation: object, value: object, field: str, text: str) -> None:
    with pytest.raises(PayloadError) as caught:
        read(annotation, value)

    assert caught.value.field == field
    assert not caught.value.too_large
    assert text in str(caught.value)
    assert str(caught.value).startswith("it")
    assert "many" not in str(caught.value)


def test_a_misfit_in_several_fields_names_each() -> None:
    with pytest.raises(PayloadError, match=r"field 'street': .* \(and 1 more\)") as caught:
        read(Address, {})

    assert caught.value.faults == (("street", "Field required"), ("since", "Field required"))


def test_at_most_20_fields_at_fault_are_named() -> None:
    with pytest.raises(PayloadError, match=r"\(and 99 more\)") as caught:
        read(list[int], ["x"] * 100)

    assert [field for field, _ in caught.value.faults] == [str(number) for number in range(20)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: value,
        lambda value: [1, value],
        lambda value: {"a": {"b": value}},
        lambda value: Item("a", value),
        lambda value: {"a": [Item("a", value)]},
        lambda value: (value,),
        lambda value: {value},
    ],
)
def test_what_json_has_no_number_for_is_refused_wherever_it_stands(value: float, wrap: Anything) -> None:
    with pytest.raises(PayloadError, match="it cannot be written as JSON: it holds"):
        written(wrap(value))


def test_none_beside_ordinary_numbers_is_no_lost_number() -> None:
    assert written({"a": None, "b": [1.5]}) == b'{"a":null,"b":[1.5]}'


@dataclasses.dataclass(slots=True)
class Slotted:
    share: float


def test_a_number_that_json_lacks_is_refused_in_a_slotted_dataclass() -> None:
    with pytest.raises(PayloadError, match="cannot be written as JSON"):
        written(Slotted(math.nan))


def test_a_number_that_json_lacks_is_refused_in_a_model() -> None:
    class Measure(pydantic.BaseModel):
        value: float

    with pytest.raises(PayloadError, match="cannot be written as JSON"):
        written(Measure(value=math.inf))


@pytest.mark.parametrize("value", [object(), lambda: None, {1, object()}, 2**80, "\ud800"])
def test_what_has_no_json_form_is_refused_by_name(value: object) -> None:
    with pytest.raises(PayloadError, match=r"^order cannot be written as JSON: "):
        encode(value, "order", limit=MIB)


def test_a_cycle_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(PayloadError, match="cannot be written as JSON"):
        written(loop)


@pytest.mark.parametrize(("size", "fits"), [(98, True), (99, False)])
def test_the_limit_counts_the_bytes_of_the_json_form(size: int, fits: bool) -> None:  # noqa: FBT001
    value = "x" * size  # and two quotes

    if fits:
        assert len(encode(value, "it", limit=100)) == 100
    else:
        with pytest.raises(PayloadError, match="it is 101 bytes; the limit is 100") as caught:
            encode(value, "it", limit=100)
        assert caught.value.too_large


def test_an_annotation_that_cannot_be_decoded_is_refused_where_it_is_declared() -> None:
    class Opaque:
        pass

    with pytest.raises(TypeError, match=r"it is annotated .*Opaque.*, which cannot be decoded from JSON"):
        decoder_for(Opaque, "it")


def test_an_annotation_that_cannot_be_hashed_is_decoded_all_the_same() -> None:
    from typing import Annotated  # noqa: PLC0415

    annotation = Annotated[int, pydantic.Field(json_schema_extra={"x": []})]

    assert decoder_for(annotation, "it")(b"5") == 5


def test_a_schema_says_what_a_type_takes() -> None:
    assert schema_for(Item)["properties"]["quantity"]["default"] == 1
    assert schema_for(Any) == {}
