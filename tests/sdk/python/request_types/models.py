"""The requests of the SDKs whose types are Pydantic's models: Mistral's, Cohere's and Ollama's."""

import ast
import inspect
import textwrap
import typing

from .hints import Reader, without_null
from .table import literal, together

# What a caller's JSON schema is, of which Ollama's SDK knows only what its own helper makes.
SCHEMAS = {"Parameters"}


def mistral(table):
    from mistralai.client import models

    reader = Reader(table, models=True)
    requests = {
        "chat": [models.ChatCompletionRequest, models.ChatCompletionStreamRequest],
        "embedding": [models.EmbeddingRequest],
        "moderation": [models.ClassificationRequest],
    }
    for name, types in requests.items():
        kinds = [reader.read(kind) for kind in types]
        kind = {"or": kinds} if len(kinds) > 1 else kinds[0]
        table.requests[name] = table.merged(kind)


def cohere(table):
    from cohere.v2.raw_client import RawV2Client

    reader = Reader(table, models=True)
    for name, methods in {"chat": ["chat", "chat_stream"], "embed": ["embed"], "rerank": ["rerank"]}.items():
        made = [written(reader, getattr(RawV2Client, method)) for method in methods]
        members = made[0]
        for more in made[1:]:
            members = together(members, more)
        table.requests[name] = table.named(name, name, lambda members=members: {"members": members})


def written(reader, method):
    """The members that a method of Cohere's SDK writes, of the types of its parameters."""
    hints = typing.get_type_hints(method, include_extras=True)
    parameters = inspect.signature(method).parameters
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    (body,) = [
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "json"
    ]
    members = {}
    for key, value in zip(body.keys, body.values):
        if isinstance(value, ast.Constant):
            members[key.value + "!"] = literal([value.value])
            continue
        if isinstance(value, ast.Call):
            (value,) = [keyword.value for keyword in value.keywords if keyword.arg == "object_"]
        required = parameters[value.id].default is inspect.Parameter.empty
        kind = reader.read(hints[value.id])
        members[key.value + "!" * required] = kind if required else without_null(kind)
    return members


def ollama(table):
    from ollama import _types

    def own(annotation):
        if getattr(annotation, "__name__", "") in SCHEMAS:
            return {"map": "any"}
        return "bytes" if annotation is _types.Image else None

    reader = Reader(table, models=True, own=own)
    for name, kind in {"chat": _types.ChatRequest, "embed": _types.EmbedRequest}.items():
        table.requests[name] = reader.read(kind)
