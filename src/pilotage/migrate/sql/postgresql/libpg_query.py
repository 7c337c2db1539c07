"""libpg_query: PostgreSQL's own scanner, parser and deparser, from the wheel of postgast.

Of postgast only the library and the schema of its messages are used: its Python package brings a formatter
and typed trees as well, and to import them takes a third of what a short command does.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_LIBRARIES = {"darwin": "libpg_query.dylib", "win32": "pg_query.dll"}


class PgQueryError(Exception):
    """What libpg_query does not accept; ``position`` counts characters from 1, 0 for none."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


# ----------------------------------------------------------------------------------------------
# The library: each function returns a struct by value, which another frees
# ----------------------------------------------------------------------------------------------


class _Error(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char_p),
        ("function", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("line", ctypes.c_int),
        ("position", ctypes.c_int),
        ("context", ctypes.c_char_p),
    )


class _Message(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


class _Sent(ctypes.Structure):
    """A message that we give: bytes as they are, which one that we get must not be cut to at a NUL."""

    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_char_p))


class _Read(ctypes.Structure):
    _fields_ = (
        ("message", _Message),
        ("stderr", ctypes.c_char_p),
        ("error", ctypes.POINTER(_Error)),
    )


class _Deparsed(ctypes.Structure):
    _fields_ = (("query", ctypes.c_char_p), ("error", ctypes.POINTER(_Error)))


def _function(name: str, takes: type, gives: type | None) -> Callable[..., Any]:
    """A function of the library, with types of our own: postgast's may stand beside it."""
    function: Any = _library[name]
    function.argtypes, function.restype = (takes,), gives
    return function  # type: ignore[no-any-return]


def _home() -> Path:
    """Where postgast is installed; it is found without being imported."""
    spec = PathFinder.find_spec("postgast")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'postgast'", name="postgast")
    return Path(next(iter(spec.submodule_search_locations)))


def _messages() -> Any:
    """What a ``pg_query_pb2`` has: a class for each message, and each constant."""
    pool = DescriptorPool()
    pool.AddSerializedFile(_only_file((_home() / "pg_query.desc").read_bytes()))
    schema = pool.FindFileByName("pg_query.proto")
    classes = {name: GetMessageClass(m) for name, m in schema.message_types_by_name.items()}
    constants = {v.name: v.number for e in schema.enum_types_by_name.values() for v in e.values}
    return SimpleNamespace(DESCRIPTOR=schema, **classes, **constants)


def _only_file(schemas: bytes) -> bytes:
    """The one file of a serialized ``FileDescriptorSet``: behind a tag and a length, 7 bits a byte."""
    start = 1
    while schemas[start] & 0x80:
        start += 1
    return schemas[start + 1 :]


pb = _messages()
_library = ctypes.CDLL(str(_home() / _LIBRARIES.get(sys.platform, "libpg_query.so")))
_parse = _function("pg_query_parse_protobuf", ctypes.c_char_p, _Read)
_free_parsed = _function("pg_query_free_protobuf_parse_result", _Read, None)
_scan = _function("pg_query_scan", ctypes.c_char_p, _Read)
_free_scanned = _function("pg_query_free_scan_result", _Read, None)
_deparse = _function("pg_query_deparse_protobuf", _Sent, _Deparsed)
_free_deparsed = _function("pg_query_free_deparse_result", _Deparsed, None)


def label(enum: str, number: int) -> str:
    """The name of a constant of ``enum``, such as ``OBJECT_TABLE`` of ``ObjectType``."""
    name: str = pb.DESCRIPTOR.enum_types_by_name[enum].values_by_number[number].name
    return name


def _refuse(error: Any) -> None:
    if error:
        told = error.contents
        raise PgQueryError(told.message.decode(), told.position)


def _read(call: Any, free: Any, kind: Any, text: str) -> Any:
    """What a function of the library says of a text, as a message of ``kind``."""
    read = call(text.encode())
    try:
        _refuse(read.error)
        return kind.FromString(ctypes.string_at(read.message.data, read.message.size))
    finally:
        free(read)


def parse(text: str) -> Any:
    """The ``ParseResult`` of a text; its locations count bytes.

    Raises
    ------
    PgQueryError
        It is not SQL.
    """
    return _read(_parse, _free_parsed, pb.ParseResult, text)


def scan(text: str) -> Any:
    """The ``ScanResult`` of a text, comments included; its places count bytes.

    Raises
    ------
    PgQueryError
        The text breaks off, or has what is no token.
    """
    return _read(_scan, _free_scanned, pb.ScanResult, text)


@lru_cache(maxsize=1024)
def deparse(data: bytes) -> str:
    """A serialized ``ParseResult`` as SQL. Who reads an expression and who rewrites it ask for the same.

    Raises
    ------
    PgQueryError
        It is no tree of a statement.
    """
    written = _deparse(_Sent(len(data), data))
    try:
        _refuse(written.error)
        query: bytes = written.query
        return query.decode()
    finally:
        _free_deparsed(written)


def nested(*fields: str) -> Callable[[bytes], bytes]:
    """What makes a serialized ``ParseResult`` of a serialized message: the one in these fields of it, each
    in the message before. To set them instead copies the message for each, with its hundreds of kinds of nodes.
    """
    tags = []
    message = pb.DESCRIPTOR.message_types_by_name["ParseResult"]
    for name in fields:
        field = message.fields_by_name[name]
        tags.append(_varint(field.number << 3 | 2))  # 2: bytes, and how many
        message = field.message_type

    def put(data: bytes) -> bytes:
        for tag in reversed(tags):
            data = tag + _varint(len(data)) + data
        return data

    return put


def _varint(number: int) -> bytes:
    """A number as protobuf writes it: 7 bits a byte, the lowest first, and a mark on all but the last."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


# ----------------------------------------------------------------------------------------------
# Trees
# ----------------------------------------------------------------------------------------------


def unwrapped(node: Any) -> Any:
    """What is in a ``Node``, the envelope of every child in a tree; an empty one as it is."""
    name = node.WhichOneof("node")
    return getattr(node, name) if name else node


def walk(node: Any) -> Iterator[Any]:
    """A message and all that are in it, each before what it holds and in order; no envelopes."""
    stack = [node]
    while stack:
        message = stack.pop()
        if type(message) is pb.Node:
            name = message.WhichOneof("node")
            if not name:
                continue
            message = getattr(message, name)
        yield message
        inside: list[Any] = []
        for field, value in message.ListFields():
            if field.type == field.TYPE_MESSAGE:
                inside += [value] if isinstance(value, Message) else value
        stack += reversed(inside)
