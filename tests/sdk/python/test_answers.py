"""Every answer of every front door against the SDK's own types of answers, strictly: each member is of its
type, none is missing, and there is none that the type does not know.

The SDKs themselves read answers leniently, so what they are given is looked at here as it came.
"""

import functools
import json
import unittest

import httpx
from anthropic import types as anthropic
from google.genai import types as google
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from ends import CITY, GATEWAY, KEY, MODELS, SAID, SYSTEM


# What OpenAI itself tells of a response though its SDK's type lacks it, and LiteLLM of a function call.
BESIDE_RESPONSES = {".store", ".output[].provider_specific_fields"}
# A function's name behind its arguments is for SDKs before the third version, which want it.
BESIDE_EVENTS = {f".response{one}" for one in BESIDE_RESPONSES}
BESIDE_EVENTS |= {".item.provider_specific_fields", ".name"}
# What LiteLLM tells of a chat beside, and so does the gateway.
BESIDE_CHATS = {
    ".choices[].provider_specific_fields",
    ".choices[].delta.provider_specific_fields",
    ".choices[].delta.reasoning_content",
    ".choices[].delta.thinking_blocks",
    ".choices[].message.provider_specific_fields",
    ".choices[].message.reasoning_content",
    ".choices[].message.thinking_blocks",
    ".choices[].message.tool_calls[].provider_specific_fields",
    ".choices[].delta.tool_calls[].provider_specific_fields",
    ".usage.cache_creation_input_tokens",
    ".usage.cache_read_input_tokens",
    ".usage.prompt_tokens_details.cache_creation_tokens",
}


# To make one takes long.
adapter = functools.cache(TypeAdapter)


def strange(value, at=""):
    """The members that no type knows, by where they stand."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{at}.{name}"
        for name in type(value).model_fields:
            yield from strange(getattr(value, name), f"{at}.{name}")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from strange(inner, f"{at}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from strange(inner, f"{at}[]")


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        headers = {"authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"}
        cls.client = httpx.Client(base_url=GATEWAY, headers=headers, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def asked(self, path, body):
        answer = self.client.post(path, json=body)
        self.assertEqual(answer.status_code, 200, answer.text)
        return answer.text

    def events(self, path, body):
        lines = self.asked(path, body).splitlines()
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        self.assertTrue(data)
        return [one for one in data if one != "[DONE]"]

    def holds(self, kind, text, known=()):
        """Whether a text is of a type; `known` is what may stand there beside."""
        value = adapter(kind).validate_json(text, strict=True)
        self.assertEqual([one for one in strange(value) if one not in known], [], text)

    def each(self, variants, check):
        for model in MODELS:
            for variant in variants:
                with self.subTest(model=model, variant=variant):
                    check(model, variant)

    def test_chat_completions(self):
        function = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
        schema = {"name": "place", "schema": CITY, "strict": True}
        variants = [
            {},
            {"tools": [function]},
            {"response_format": {"type": "json_schema", "json_schema": schema}},
            {"reasoning_effort": "low"},
        ]

        def check(model, variant):
            messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": SAID}]
            body = {"model": model, "messages": messages, **variant}
            self.holds(ChatCompletion, self.asked("/v1/chat/completions", body), BESIDE_CHATS)
            streamed = body | {"stream": True, "stream_options": {"include_usage": True}}
            for event in self.events("/v1/chat/completions", streamed):
                self.holds(ChatCompletionChunk, event, BESIDE_CHATS)

        self.each(variants, check)

    def test_responses(self):
        function = {"type": "function", "name": "weather", "parameters": CITY, "strict": True}
        schema = {"type": "json_schema", "name": "place", "schema": CITY, "strict": True}
        variants = [
            {},
            {"tools": [function]},
            {"text": {"format": schema}},
            {"reasoning": {"effort": "low"}},
        ]

        def check(model, variant):
            body = {"model": model, "input": SAID, "instructions": SYSTEM, **variant}
            self.holds(Response, self.asked("/v1/responses", body), BESIDE_RESPONSES)
            for event in self.events("/v1/responses", body | {"stream": True}):
                self.holds(ResponseStreamEvent, event, BESIDE_EVENTS)

        self.each(variants, check)

    def test_messages(self):
        tool = {"name": "weather", "input_schema": CITY}
        thinking = {"type": "enabled", "budget_tokens": 1024}

        def check(model, variant):
            messages = [{"role": "user", "content": SAID}]
            body = {"model": model, "max_tokens": 2048, "messages": messages, **variant}
            self.holds(anthropic.Message, self.asked("/v1/messages", body))
            for event in self.events("/v1/messages", body | {"stream": True}):
                # The SDK's union of events has no pings.
                if json.loads(event)["type"] != "ping":
                    self.holds(anthropic.RawMessageStreamEvent, event)

        self.each([{}, {"tools": [tool]}, {"thinking": thinking}], check)

    def test_contents(self):
        tools = [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": CITY}]}]
        config = {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}

        def check(model, variant):
            body = {"contents": [{"role": "user", "parts": [{"text": SAID}]}], **variant}
            path = f"/v1beta/models/{model}:generateContent"
            self.holds(google.GenerateContentResponse, self.asked(path, body))
            path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
            for event in self.events(path, body):
                self.holds(google.GenerateContentResponse, event)

        self.each([{}, {"tools": tools}, {"generationConfig": config}], check)

    def test_embeddings(self):
        for model in ["vectors", "own-vectors", "cohere-vectors"]:
            with self.subTest(model=model):
                body = {"model": model, "input": [SAID]}
                self.holds(CreateEmbeddingResponse, self.asked("/v1/embeddings", body))


if __name__ == "__main__":
    unittest.main()
