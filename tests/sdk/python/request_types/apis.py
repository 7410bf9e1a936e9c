"""The requests of the SDKs that Stainless makes: OpenAI's, Anthropic's and Groq's."""

import ast
import inspect
from importlib import import_module

from .hints import Reader

# By the name of a request: the module of its parameters and their type, the module of the resource
# that sends them, and the method. The resource is looked at because some parameters are headers.
OPENAI = {
    "chat": ("chat.completion_create_params.CompletionCreateParams", "chat.completions.completions"),
    "completion": ("completion_create_params.CompletionCreateParams", "completions"),
    "embedding": ("embedding_create_params.EmbeddingCreateParams", "embeddings"),
    "moderation": ("moderation_create_params.ModerationCreateParams", "moderations"),
    "response": ("responses.response_create_params.ResponseCreateParams", "responses.responses"),
    "compact": (
        "responses.response_compact_params.ResponseCompactParams",
        "responses.responses",
        "compact",
    ),
    "input_tokens": (
        "responses.input_token_count_params.InputTokenCountParams",
        "responses.input_tokens",
        "count",
    ),
    "speech": ("audio.speech_create_params.SpeechCreateParams", "audio.speech"),
    "transcription": (
        "audio.transcription_create_params.TranscriptionCreateParams",
        "audio.transcriptions",
    ),
    "translation": ("audio.translation_create_params.TranslationCreateParams", "audio.translations"),
    "image": ("image_generate_params.ImageGenerateParams", "images", "generate"),
    "edit": ("image_edit_params.ImageEditParams", "images", "edit"),
    "variation": (
        "image_create_variation_params.ImageCreateVariationParams",
        "images",
        "create_variation",
    ),
}
ANTHROPIC = {
    "message": ("message_create_params.MessageCreateParams", "messages.messages"),
    "count": (
        "message_count_tokens_params.MessageCountTokensParams",
        "messages.messages",
        "count_tokens",
    ),
    "beta message": ("beta.message_create_params.MessageCreateParams", "beta.messages.messages"),
    "beta count": (
        "beta.message_count_tokens_params.MessageCountTokensParams",
        "beta.messages.messages",
        "count_tokens",
    ),
}
GROQ = {
    "chat": ("chat.completion_create_params.CompletionCreateParams", "chat.completions"),
    "embedding": ("embedding_create_params.EmbeddingCreateParams", "embeddings"),
    "speech": ("audio.speech_create_params.SpeechCreateParams", "audio.speech"),
    "transcription": (
        "audio.transcription_create_params.TranscriptionCreateParams",
        "audio.transcriptions",
    ),
    "translation": ("audio.translation_create_params.TranslationCreateParams", "audio.translations"),
}


def read(table, package, requests):
    reader = Reader(table)
    for name, (path, resource, *method) in requests.items():
        module, type_name = path.rsplit(".", 1)
        params = getattr(import_module(f"{package}.types.{module}"), type_name)
        kind = table.merged(reader.read(params))
        members = table.types[kind["of"]]["members"]
        source = import_module(f"{package}.resources.{resource}")
        body = sent(source, *(method or ["create"]), {key.rstrip("!") for key in members})
        for key in [key for key in members if key.rstrip("!") not in body]:
            del members[key]
        table.requests[name] = kind


def sent(module, method, known):
    """The parameters that a method puts into the body, as far as it says so by name."""
    names = set()
    for function in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(function, ast.FunctionDef) or function.name != method:
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Dict):
                keys = {getattr(key, "value", None) for key in node.keys}
                names |= keys if keys <= known else set()
    assert names, f"{module.__name__}.{method} says nothing of its body"
    return names


def openai(table):
    read(table, "openai", OPENAI)


def anthropic(table):
    read(table, "anthropic", ANTHROPIC)


def groq(table):
    read(table, "groq", GROQ)
