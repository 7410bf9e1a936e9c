"""OpenAI's own Python SDK, talking through the gateway to the fake upstream.

The environment names the gateway (GATEWAY_URL, GATEWAY_KEY) and the fake upstream's control
endpoints (UPSTREAM_URL).
"""

import asyncio
import json
import os
import unittest
import urllib.request

import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

GATEWAY = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
UPSTREAM = os.environ["UPSTREAM_URL"]

HELLO = [{"role": "user", "content": "hi there"}]
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


def control(path, body):
    request = urllib.request.Request(
        f"{UPSTREAM}/__fake/{path}",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def received():
    with urllib.request.urlopen(f"{UPSTREAM}/__fake/requests") as answer:
        last = json.load(answer)[-1]
    return {**last, "body": json.loads(last["body"])}


class Chat(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)

    def tearDown(self):
        self.client.close()
        self.assertEqual(control("violations", None), [])

    def test_an_answer(self):
        answer = self.client.chat.completions.create(model="chat", messages=HELLO)
        self.assertEqual(answer.choices[0].message.content, "You said: hi there")
        self.assertEqual(answer.model, "chat")
        self.assertEqual(answer.usage.total_tokens, 30)
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 4)
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_the_base_url_without_a_version(self):
        with OpenAI(base_url=GATEWAY, api_key=KEY, max_retries=0) as client:
            answer = client.chat.completions.create(model="chat", messages=HELLO)
            self.assertEqual(answer.model, "chat")
            self.assertIn("chat", [model.id for model in client.models.list()])

    def test_a_stream(self):
        stream = self.client.chat.completions.create(model="chat", messages=HELLO, stream=True)
        chunks = list(stream)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, "You said: hi there")
        self.assertEqual({chunk.model for chunk in chunks}, {"chat"})
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")
        self.assertTrue(all(chunk.usage is None for chunk in chunks))

    def test_a_stream_with_usage(self):
        stream = self.client.chat.completions.create(
            model="chat", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        *_, last = stream
        self.assertEqual(last.usage.completion_tokens, 10)
        self.assertEqual(last.usage.completion_tokens_details.reasoning_tokens, 3)

    def test_the_stream_helper(self):
        with self.client.chat.completions.stream(model="chat", messages=HELLO) as stream:
            kinds = {event.type for event in stream}
            answer = stream.get_final_completion()
        self.assertIn("content.delta", kinds)
        self.assertEqual(answer.choices[0].message.content, "You said: hi there")

    def test_every_character_of_a_text(self):
        text = "\u2028 \u2029 \u0085 é 🚂 \\ \" \x7f"
        messages = [{"role": "user", "content": text}]
        answer = self.client.chat.completions.create(model="chat", messages=messages)
        self.assertEqual(answer.choices[0].message.content, f"You said: {text}")
        stream = self.client.chat.completions.create(model="chat", messages=messages, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        self.assertEqual(streamed, f"You said: {text}")

    def test_tools(self):
        answer = self.client.chat.completions.create(model="chat", messages=HELLO, tools=[WEATHER])
        (call,) = answer.choices[0].message.tool_calls
        self.assertEqual(call.function.name, "weather")
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris", "days": 7})
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual(received()["body"]["tools"], [WEATHER])
        turn = [
            *HELLO,
            answer.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ]
        answer = self.client.chat.completions.create(model="chat", messages=turn, tools=[WEATHER])
        self.assertEqual(answer.choices[0].message.content, "You said: sunny")

    def test_streamed_tools(self):
        stream = self.client.chat.completions.create(
            model="chat", messages=HELLO, tools=[WEATHER], stream=True
        )
        name, arguments, finish = None, "", None
        for chunk in stream:
            for call in chunk.choices[0].delta.tool_calls or []:
                name = name or call.function.name
                arguments += call.function.arguments or ""
            finish = chunk.choices[0].finish_reason or finish
        self.assertEqual((name, finish), ("weather", "tool_calls"))
        self.assertEqual(json.loads(arguments), {"city": "Paris", "days": 7})

    def test_json_mode(self):
        answer = self.client.chat.completions.create(
            model="chat", messages=HELLO, response_format={"type": "json_object"}
        )
        self.assertEqual(json.loads(answer.choices[0].message.content), {"answer": 42})

    def test_structured_output(self):
        class Trip(BaseModel):
            city: str
            days: int

        answer = self.client.chat.completions.parse(
            model="chat", messages=HELLO, response_format=Trip
        )
        self.assertEqual(answer.choices[0].message.parsed, Trip(city="Paris", days=7))

    def test_images(self):
        content = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ]
        messages = [{"role": "user", "content": content}]
        answer = self.client.chat.completions.create(model="chat", messages=messages)
        self.assertEqual(answer.choices[0].message.content, "You showed 2 images and 1 texts")
        self.assertEqual(received()["body"]["messages"], messages)

    def test_fields_that_the_sdk_does_not_know(self):
        self.client.chat.completions.create(
            model="chat", messages=HELLO, extra_body={"top_k": 5, "vendor": {"a": [1]}}
        )
        body = received()["body"]
        self.assertEqual((body["top_k"], body["vendor"]), (5, {"a": [1]}))

    def test_the_raw_response_has_litellms_headers(self):
        raw = self.client.chat.completions.with_raw_response.create(model="chat", messages=HELLO)
        self.assertTrue(raw.headers["x-litellm-call-id"])
        self.assertEqual(raw.headers["x-litellm-model-group"], "chat")
        self.assertEqual(raw.parse().model, "chat")


class Others(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)

    def tearDown(self):
        self.client.close()

    def test_embeddings_as_the_sdk_asks_for_them(self):
        answer = self.client.embeddings.create(model="vectors", input=["a", "b"])
        self.assertEqual([item.embedding for item in answer.data], [[0.5, -0.125, 0.25]] * 2)
        self.assertEqual(received()["body"]["encoding_format"], "base64")
        self.assertEqual(answer.model, "vectors")

    def test_embeddings_as_numbers(self):
        answer = self.client.embeddings.create(model="vectors", input="a", encoding_format="float")
        self.assertEqual(answer.data[0].embedding, [0.5, -0.125, 0.25])

    def test_a_legacy_completion(self):
        answer = self.client.completions.create(model="chat", prompt="once")
        self.assertEqual((answer.choices[0].text, answer.model), ("after once", "chat"))
        stream = self.client.completions.create(model="chat", prompt="once upon", stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in stream), "after once upon")

    def test_models(self):
        models = {model.id: model for model in self.client.models.list()}
        self.assertIn("chat", models)
        self.assertEqual((models["chat"].object, models["chat"].owned_by), ("model", "openai"))

    def test_the_demo(self):
        answer = self.client.chat.completions.create(model="demo", messages=HELLO)
        self.assertEqual(answer.choices[0].message.content, "All signals green.")
        stream = self.client.chat.completions.create(model="demo", messages=HELLO, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        self.assertEqual(text, "All signals green.")


class Errors(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)

    def tearDown(self):
        self.client.close()

    def fails(self, kind, status, model="chat", **more):
        with self.assertRaises(kind) as raised:
            self.client.chat.completions.create(model=model, messages=HELLO, **more)
        self.assertEqual(raised.exception.status_code, status)
        return raised.exception

    def test_a_wrong_key(self):
        with OpenAI(base_url=f"{GATEWAY}/v1", api_key="sk-wrong", max_retries=0) as client:
            with self.assertRaises(openai.AuthenticationError) as raised:
                client.models.list()
        self.assertEqual(raised.exception.code, "401")

    def test_an_unknown_model(self):
        error = self.fails(openai.BadRequestError, 400, model="nothing")
        self.assertEqual((error.code, error.type), ("400", "invalid_request_error"))

    def test_a_rate_limit(self):
        control("next", {"status": 429, "headers": [["retry-after", "7"]]})
        error = self.fails(openai.RateLimitError, 429)
        self.assertEqual(error.response.headers["retry-after"], "7")

    def test_each_class(self):
        for status, kind in [
            (400, openai.BadRequestError),
            (401, openai.AuthenticationError),
            (403, openai.PermissionDeniedError),
            (404, openai.NotFoundError),
            (409, openai.ConflictError),
            (422, openai.UnprocessableEntityError),
            (500, openai.InternalServerError),
            (503, openai.InternalServerError),
        ]:
            with self.subTest(status=status):
                control("next", {"status": status})
                self.fails(kind, status)

    def test_a_stream_that_breaks_raises(self):
        first = '{"choices":[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}'
        cut = len(f"data: {first}\n\n")
        control("next", {"content": {"events": [first, first]}, "ending": {"cut_after": cut}})
        stream = self.client.chat.completions.create(model="chat", messages=HELLO, stream=True)
        with self.assertRaises(openai.APIError) as raised:
            list(stream)
        self.assertIn("stream broke off", str(raised.exception))

    def test_the_sdk_retries_what_it_should(self):
        control("next", {"status": 503, "headers": [["retry-after-ms", "1"]]})
        with OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=1) as client:
            answer = client.chat.completions.create(model="chat", messages=HELLO)
        self.assertEqual(answer.model, "chat")


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_many_at_once(self):
        async with AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0) as client:

            async def one(number):
                messages = [{"role": "user", "content": f"number {number}"}]
                stream = await client.chat.completions.create(
                    model="chat", messages=messages, stream=True
                )
                text = "".join([c.choices[0].delta.content or "" async for c in stream])
                self.assertEqual(text, f"You said: number {number}")

            await asyncio.gather(*(one(number) for number in range(40)))


class Azure(unittest.IsolatedAsyncioTestCase):
    def test_the_azure_client(self):
        client = AzureOpenAI(
            azure_endpoint=GATEWAY, api_key=KEY, api_version="2024-10-21", max_retries=0
        )
        with client:
            answer = client.chat.completions.create(model="chat", messages=HELLO)
            self.assertEqual(answer.choices[0].message.content, "You said: hi there")
            stream = client.chat.completions.create(model="chat", messages=HELLO, stream=True)
            text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
            self.assertEqual(text, "You said: hi there")
            vectors = client.embeddings.create(model="vectors", input="a")
            self.assertEqual(vectors.data[0].embedding, [0.5, -0.125, 0.25])

    async def test_the_async_azure_client_and_a_deployment(self):
        client = AsyncAzureOpenAI(
            azure_endpoint=GATEWAY,
            azure_deployment="chat",
            api_key=KEY,
            api_version="2024-10-21",
            max_retries=0,
        )
        async with client:
            answer = await client.chat.completions.create(model="ignored", messages=HELLO)
            self.assertEqual(answer.model, "chat")

    def test_an_azure_upstream(self):
        with OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0) as client:
            answer = client.chat.completions.create(model="azure", messages=HELLO)
        self.assertEqual(answer.model, "azure")
        sent = received()
        self.assertEqual(sent["path"], "/openai/deployments/my-deployment/chat/completions")
        self.assertEqual(sent["query"], "api-version=2024-10-21")
        names = [name for name, _ in sent["headers"]]
        self.assertIn("api-key", names)
        self.assertNotIn("authorization", names)


if __name__ == "__main__":
    unittest.main()
