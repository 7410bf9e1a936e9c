"""Types from the annotations of Python: typed dictionaries, Pydantic's models, and what they hold."""

import collections.abc
import datetime
import enum
import inspect
import io
import os
import types
import typing

import typing_extensions
from pydantic import BaseModel
from typing_extensions import (
    Annotated,
    Literal,
    NotRequired,
    Required,
    TypeAliasType,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from .table import is_literal, literal, union

SCALARS = {
    str: "text",
    int: "int",
    float: "number",
    bool: "bool",
    type(None): "null",
    typing.Any: "any",
    object: "any",
    dict: {"map": "any"},
    list: {"list": "any"},
    datetime.datetime: "text",
    datetime.date: "text",
}
UNIONS = (typing.Union, types.UnionType)
LISTS = (list, collections.abc.Iterable, collections.abc.Sequence)
MAPS = (dict, collections.abc.Mapping)
FILES = (bytes, io.IOBase, typing.IO, os.PathLike, tuple)
# What says in Python that an argument was not given; it never goes over the wire.
ABSENT = {"NotGiven", "Omit", "Unset", "UnrecognizedStr", "UnrecognizedInt"}


class Reader:
    """Reads annotations into a table.

    `models` says whether Pydantic's models are types of requests, or only what the SDK also takes in
    their place. `own` may read an annotation in its own way.
    """

    def __init__(self, table, models=False, own=lambda annotation: None):
        self.table = table
        self.models = models
        self.own = own

    def read(self, annotation):
        """The type of an annotation; `None` where it says nothing of the wire."""
        own = self.own(annotation)
        if own is not None:
            return own
        if isinstance(annotation, typing.TypeVar):
            return None
        if isinstance(annotation, TypeAliasType):
            return self.read(annotation.__value__)
        try:
            if annotation in SCALARS:
                return SCALARS[annotation]
        except TypeError:
            pass
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin in (Required, NotRequired):
            return self.read(arguments[0])
        if origin is Annotated:
            if any(getattr(more, "format", None) == "base64" for more in arguments[1:]):
                return "bytes"
            return self.bounded(self.read(arguments[0]), arguments[1:])
        if origin is Literal:
            return literal(one.value if isinstance(one, enum.Enum) else one for one in arguments)
        if origin in UNIONS:
            return self.union(arguments)
        if isinstance(origin, TypeAliasType):
            return self.read(origin.__value__[arguments])
        if origin is type:
            return None
        named = getattr(origin, "__name__", "")
        if origin in LISTS or named == "SequenceNotStr":
            inner = self.read(arguments[0])
            return None if inner is None else {"list": inner}
        if origin in MAPS:
            return {"map": self.read(arguments[1])}
        if is_file(annotation) or is_file(origin):
            return "file"
        if is_typeddict(origin or annotation):
            return self.typed_dict(origin or annotation)
        if inspect.isclass(annotation):
            return self.of_class(annotation)
        raise TypeError(f"no reading of {annotation!r}")

    def union(self, arguments):
        kinds = [self.read(one) for one in arguments]
        objects = [kind["of"] for kind in kinds if isinstance(kind, dict) and "of" in kind]
        # A dictionary of anything beside a type stands for that type: in Python alone if the type is a
        # model, and for one that may hold more if it is a dictionary itself.
        if objects and {"map": "any"} in kinds:
            kinds = [kind for kind in kinds if kind != {"map": "any"}]
            for name in objects if not self.models else []:
                self.table.types[name]["more"] = "any"
        # A word beside anything is an enumeration that the SDK lets grow.
        if any(is_literal(kind) for kind in kinds):
            kinds = [kind for kind in kinds if kind != "any"]
        return union(kinds)

    def bounded(self, kind, more):
        bounds = {}
        for one in more:
            for inner in getattr(one, "metadata", [one]):
                for name, ours in (("min_length", "min"), ("max_length", "max")):
                    if getattr(inner, name, None) is not None:
                        bounds[ours] = getattr(inner, name)
        return {"bounded": {"kind": kind, **bounds}} if bounds and kind else kind

    def of_class(self, annotation):
        if annotation.__name__ in ABSENT:
            return None
        if issubclass(annotation, enum.Enum):
            return literal(one.value for one in annotation)
        if issubclass(annotation, BaseModel):
            received = "is_unknown" in annotation.model_fields
            return self.model(annotation) if self.models and not received else None
        for base, kind in ((str, "text"), (bool, "bool"), (int, "int"), (float, "number")):
            if issubclass(annotation, base):
                return kind
        return None

    def typed_dict(self, of):
        return self.table.named(of, of.__name__, lambda: self.members(of))

    def members(self, of):
        hints = get_type_hints(of, include_extras=True)
        members = {}
        for name, hint in hints.items():
            wire, required = name, name in of.__required_keys__
            while get_origin(hint) in (Required, NotRequired, Annotated):
                if get_origin(hint) is Annotated:
                    told = [more for more in get_args(hint)[1:] if getattr(more, "alias", None)]
                    wire = told[0].alias if told else wire
                    if any(getattr(more, "format", None) == "base64" for more in get_args(hint)[1:]):
                        break
                else:
                    required = get_origin(hint) is Required
                hint = get_args(hint)[0]
            kind = self.read(hint)
            if kind is not None and not is_header(wire):
                members[wire + "!" * required] = kind
        made = {"members": members}
        extra = getattr(of, "__extra_items__", typing_extensions.NoExtraItems)
        if extra not in (None, typing_extensions.NoExtraItems):
            made["more"] = self.read(extra)
        return made

    def model(self, of):
        return self.table.named(of, of.__name__, lambda: self.fields(of))

    def fields(self, of):
        members = {}
        for name, field in of.model_fields.items():
            kind = self.read(field.annotation)
            if kind is None:
                continue
            told = [more.alias for more in field.metadata if getattr(more, "alias", None)]
            wire = told[0] if told else field.serialization_alias or field.alias or name
            # What tells a type from others is always sent.
            tells = is_literal(kind) and kind["is"] == [field.default]
            if not field.is_required() and not is_nullable(field.annotation):
                kind = without_null(kind)
            kind = self.bounded(kind, field.metadata)
            members[wire + "!" * (field.is_required() or tells)] = kind
        return {"members": members}


def is_nullable(annotation):
    """Whether an SDK tells null from what is left out."""
    return getattr(get_origin(annotation), "__name__", "") == "OptionalNullable"


def without_null(kind):
    """A type of what is left out rather than null."""
    return union(one for one in kind["or"] if one != "null") if "or" in kind else kind


def is_header(name):
    """Whether a name is that of a header, which the SDKs' parameters hold beside the body's members."""
    return "-" in name


def is_file(annotation):
    try:
        return inspect.isclass(annotation) and issubclass(annotation, FILES)
    except TypeError:
        return False
