"""The types that the sections are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag, model_validator
from pydantic_core import PydanticCustomError

from pilotage.config.erb import NotRun
from pilotage.config.quantity import parse_duration, parse_percent
from pilotage.config.scalars import to_text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
BRANCH = "·"  # begins the tags of unions, which are no part of a key's path


class Section(BaseModel):
    """A mapping with known keys. A key without a value is an error, as it is for Kamal."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # one validator for the whole file, not one a section: start-up counts
    )

    @model_validator(mode="before")
    @classmethod
    def _no_empty_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key, value in data.items():
                if value is None and key in cls.model_fields:
                    raise PydanticCustomError(
                        "empty_key", "has no value; give it one or remove the key", {"key": key}
                    )
        return data


def wrong(message: str) -> PydanticCustomError:
    """An error whose message is shown as it is."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


def _text(value: Any) -> Any:
    if isinstance(value, NotRun):
        return value
    if isinstance(value, (str, int, float)):
        return to_text(value)
    raise wrong("should be a text")


def _whole(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise wrong("should be a whole number")


def _port(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    raise wrong("should be a whole number from 1 to 65535")


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    raise wrong("should be true or false")


def _seconds(value: Any) -> Any:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise wrong(str(error)) from error


def _share(value: Any) -> Any:
    try:
        return parse_percent(value)
    except ValueError as error:
        raise wrong(str(error)) from error


def _flat(value: Any) -> Any:
    """What an option of ``docker run`` may be: a scalar, a list of them, or nothing (a bare flag)."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return tuple(value)
    if isinstance(value, dict) and all(
        isinstance(item, (str, int, float)) for item in value.values()
    ):
        return dict(value)
    raise wrong("should be a text, a number, true, or a list of texts")


def _value(value: Any) -> Any:
    """What stands after ``NAME=``: there true is the text, and no option without a value."""
    return to_text(value) if isinstance(value, (str, int, float)) else _flat(value)


def one_or_more(value: Any) -> Any:
    """A list, also of what is written as one value."""
    return value if isinstance(value, (list, tuple)) else [value]


def _limit(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return str(value)
    if isinstance(value, str) and value.rstrip("%").isdecimal() and int(value.rstrip("%")) >= 1:
        return value
    raise wrong("should be a number of hosts, 1 or more, or a percentage such as 25%")


def _one(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        if len(value) == 1:
            return tuple(value)
        raise wrong("should be a text, or a list with the name of one secret")
    return value


def _url_or_name(value: Any) -> Any:
    """Never shows the value: it may be a password in a form that we do not know."""
    text = _text(value)
    if "://" in text or _NAME.fullmatch(text) or isinstance(text, NotRun):
        return text
    raise wrong("should be a URL, such as postgresql://…, or the name of a secret or a variable")


def _secret_name(value: Any) -> Any:
    text = _text(value)
    if "=" in text or not text.strip() or text.split() != [text]:
        raise wrong(
            "should be the name of a secret, or NAME:SECRET; the value goes to a secrets file"
        )
    return text


Text = Annotated[str, BeforeValidator(_text)]
Whole = Annotated[int, BeforeValidator(_whole)]
Port = Annotated[int, BeforeValidator(_port)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
Share = Annotated[float, BeforeValidator(_share)]
Texts = tuple[Text, ...]
Credential = Annotated[Text | tuple[Text], BeforeValidator(_one)]  # a text, or a secret's name
HostLimit = Annotated[str, BeforeValidator(_limit)]  # "3" or "25%"
UrlOrName = Annotated[str, BeforeValidator(_url_or_name)]
SecretName = Annotated[str, BeforeValidator(_secret_name)]
OneOrMore = Annotated[tuple[Text, ...], BeforeValidator(one_or_more)]
Labels = dict[str, Text]
Option = Annotated[Any, BeforeValidator(_flat)]
Options = dict[str, Option]
Values = dict[str, Annotated[Any, BeforeValidator(_value)]]


def _is_flag(value: Any) -> str:
    return f"{BRANCH}flag" if isinstance(value, bool) else f"{BRANCH}section"


def _is_text(value: Any) -> str:
    return f"{BRANCH}section" if isinstance(value, (dict, Section)) else f"{BRANCH}text"


FLAG_OR_SECTION = Discriminator(_is_flag)
TEXT_OR_SECTION = Discriminator(_is_text)
FLAG = Tag(f"{BRANCH}flag")
TEXT = Tag(f"{BRANCH}text")
SECTION = Tag(f"{BRANCH}section")
