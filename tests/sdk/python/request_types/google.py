"""Gemini's and Vertex AI's requests: Google's SDK has one set of models for both, and for each a set of
functions that write the request from them. What such a function writes is read from its source.
"""

import ast
import inspect
import typing

from google.genai import models as converters
from google.genai import types

from .hints import Reader, without_null

SOURCE = {
    function.name: function
    for function in ast.parse(inspect.getsource(converters)).body
    if isinstance(function, ast.FunctionDef)
}


def gemini(table):
    api = Api(table, "mldev")
    table.requests["generateContent"] = api.request("GenerateContentParameters")
    table.requests["countTokens"] = api.request("CountTokensParameters")
    batch = api.request("EmbedContentParametersPrivate")
    table.requests["batchEmbedContents"] = batch
    # What the SDK asks for at once can be asked for alone.
    table.requests["embedContent"] = table.types[batch["of"]]["members"]["requests"]["list"]


def vertex(table):
    for name, of, mode in [
        ("generateContent", "GenerateContentParameters", None),
        ("countTokens", "CountTokensParameters", None),
        ("predict", "EmbedContentParametersPrivate", "PREDICT"),
        ("embedContent", "EmbedContentParametersPrivate", "EMBED_CONTENT"),
    ]:
        table.requests[name] = Api(table, "vertex", mode).request(of)


class Api:
    """One of the two. `mode` is what the functions call a discriminator: what is written under another
    one is not read."""

    def __init__(self, table, name, mode=None):
        self.table = table
        self.name = name
        self.mode = mode
        self.reader = Reader(table, models=True, own=lambda kind: "bytes" if kind is bytes else None)

    def request(self, of):
        written, _ = self.written(of)
        return self.tree(f"{of} {self.mode or ''}".strip(), written)

    def tree(self, name, written):
        """The type of an object that is written by paths into it."""
        members, below = {}, {}
        for (first, *rest), kind in written:
            if first.startswith("_"):
                continue
            if rest:
                below.setdefault(first, []).append((rest, kind))
            else:
                members[first] = kind
        for first, inner in below.items():
            bare = first.removesuffix("[]")
            if bare != first:
                # A list that is written below a list goes into its items one by one.
                inner = [(path, kind.get("list", kind) if isinstance(kind, dict) else kind) for path, kind in inner]
            made = self.tree(f"{name} {bare}", inner)
            members[bare] = made if bare == first else {"list": made}
        return self.table.named((self.name, name), name, lambda: {"members": members})

    def written(self, of):
        """What a function writes, by paths: into its own object, and into that above it."""
        own, above = [], []
        self.walk(SOURCE[f"_{of}_to_{self.name}"].body, of, own, above)
        return own, above

    def walk(self, body, of, own, above):
        for node in body:
            if isinstance(node, ast.If):
                other = told(node.test) not in (None, self.mode)
                self.walk(node.orelse if other else node.body, of, own, above)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                self.call(node.value, of, own, above)

    def call(self, call, of, own, above):
        if call.func.id != "setv":
            # A function that writes only into what is above it.
            _, beside = self.written(converted(call, self.name))
            own.extend(beside)
            return
        into, path, value = call.args
        path = [step.value for step in path.elts]
        written = own if into.id == "to_object" else above
        if path[0] == "_url":
            return
        written.append((path, self.value(value, of, own)))

    def value(self, value, of, own):
        """The type of what is written."""
        if isinstance(value, ast.ListComp):
            (source,) = value.generators
            if converted(value.elt, self.name):
                return {"list": self.converter(value.elt, own)}
            if "t_contents_for_embed" in ast.unparse(source.iter):
                return {"list": self.reader.read(types.Content) if self.name == "mldev" else "text"}
            return self.value(source.iter, of, own)
        if converted(value, self.name):
            return self.converter(value, own)
        called = value.func
        if isinstance(called, ast.Attribute):
            if called.attr == "t_json_schema":
                return "any"
            made = typing.get_type_hints(getattr(converters.t, called.attr))["return"]
            return without_null(self.reader.read(made))
        (name,) = [step.value for step in value.args[1].elts]
        return without_null(self.reader.read(model(of).model_fields[name].annotation))

    def converter(self, call, own):
        """The type that another function writes, which may write beside it as well."""
        of = converted(call, self.name)
        written, beside = self.written(of)
        own.extend(beside)
        return self.tree(of, written)


def model(of):
    """The model that a function writes from."""
    return getattr(types, of, None) or getattr(types, f"_{of}")


def converted(node, api):
    """The model for which a call within this expression has a function of its own."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name):
            name = inner.func.id
            if name.startswith("_") and name.endswith(f"_to_{api}"):
                return name.removeprefix("_").removesuffix(f"_to_{api}")
    return None


def told(test):
    """The discriminator that a condition asks for."""
    if isinstance(test, ast.Compare) and getattr(test.left, "id", "") == "discriminator":
        (right,) = test.comparators
        return right.value
    return None
