"""OpenAI's own Python SDK, asking for responses through the gateway: from a provider that has them,
and from others, which are spoken to in their own dialects.

The environment names the gateway (GATEWAY_URL, GATEWAY_KEY) and the fake upstream's control
endpoints (UPSTREAM_URL).
"""

import json
import os
import unittest
import urllib.request

import openai
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

GATEWAY = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
UPSTREAM = os.environ["UPSTREAM_URL"]

MODELS = ["chat", "bridged", "claude", "flash"]
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Place(BaseModel):
    city: str


def control(path, body):
    request = urllib.request.Request(
        f"{UPSTREAM}/__fake/{path}",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


class Responses(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)

    def tearDown(self):
        self.client.close()
        self.assertEqual(control("violations", None), [])

    def everywhere(self):
        for model in MODELS:
            with self.subTest(model=model):
                yield model

    def test_a_response(self):
        for model in self.everywhere():
            response = self.client.responses.create(model=model, input="hi there")
            self.assertEqual(response.status, "completed")
            self.assertEqual(response.model, model)
            self.assertIn("hi there", response.output_text)
            self.assertGreater(response.usage.total_tokens, 0)
            self.assertEqual(response.tools, [])

    def test_a_stream(self):
        for model in self.everywhere():
            events = list(self.client.responses.create(model=model, input="hi there", stream=True))
            text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
            self.assertEqual(events[0].type, "response.created")
            self.assertEqual(events[-1].type, "response.completed")
            self.assertEqual(events[-1].response.output_text, text)
            self.assertEqual([e.sequence_number for e in events], list(range(len(events))))

    def test_the_stream_helper(self):
        for model in self.everywhere():
            with self.client.responses.stream(model=model, input="hi there") as stream:
                kinds = {event.type for event in stream}
                response = stream.get_final_response()
            self.assertIn("response.output_text.delta", kinds)
            self.assertIn("hi there", response.output_text)

    def test_tools_back_and_forth(self):
        for model in self.everywhere():
            said = [{"role": "user", "content": "hi there"}]
            response = self.client.responses.create(
                model=model, input=said, tools=[WEATHER], tool_choice="required"
            )
            calls = [item for item in response.output if item.type == "function_call"]
            self.assertEqual([call.name for call in calls], ["weather"])
            self.assertEqual(set(json.loads(calls[0].arguments)), {"city", "days"})
            said += response.output
            said.append(
                {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"}
            )
            response = self.client.responses.create(model=model, input=said, tools=[WEATHER])
            self.assertNotEqual(response.output_text, "")

    def test_streamed_tools(self):
        for model in self.everywhere():
            stream = self.client.responses.create(
                model=model, input="hi", tools=[WEATHER], tool_choice="required", stream=True
            )
            events = list(stream)
            kind = "response.function_call_arguments"
            arguments = "".join(e.delta for e in events if e.type == f"{kind}.delta")
            done = [e for e in events if e.type == f"{kind}.done"]
            self.assertEqual([e.arguments for e in done], [arguments])
            self.assertEqual(set(json.loads(arguments)), {"city", "days"})

    def test_a_parsed_response(self):
        for model in self.everywhere():
            response = self.client.responses.parse(
                model=model, input="where?", text_format=Place, instructions="be brief"
            )
            self.assertIsInstance(response.output_parsed, Place)

    def test_an_image(self):
        parts = [
            {"type": "input_text", "text": "what is it?"},
            {"type": "input_image", "image_url": PIXEL, "detail": "low"},
        ]
        for model in self.everywhere():
            response = self.client.responses.create(
                model=model, input=[{"role": "user", "content": parts}]
            )
            self.assertEqual(response.status, "completed")

    def test_reasoning(self):
        for model in ["chat", "claude"]:
            with self.subTest(model=model):
                response = self.client.responses.create(
                    model=model,
                    input=[{"role": "user", "content": "think"}],
                    max_output_tokens=9000,
                    reasoning={"effort": "low", "summary": "auto"},
                    include=["reasoning.encrypted_content"],
                    store=False,
                )
                thought = [item for item in response.output if item.type == "reasoning"]
                self.assertNotEqual(thought, [])
                self.assertNotEqual(thought[0].summary[0].text, "")
                # What was thought goes back with what is said next.
                said = [
                    {"role": "user", "content": "think"},
                    *response.output,
                    {"role": "user", "content": "go on"},
                ]
                response = self.client.responses.create(model=model, input=said, store=False)
                self.assertEqual(response.status, "completed")

    def test_a_response_that_is_kept(self):
        made = self.client.responses.create(model="chat", input="hi there")
        kept = self.client.responses.retrieve(made.id)
        self.assertEqual((kept.id, kept.model), (made.id, "chat"))
        items = self.client.responses.input_items.list(made.id)
        self.assertEqual(items.data[0].role, "user")
        self.assertEqual(self.client.responses.cancel(made.id).status, "cancelled")
        more = self.client.responses.create(
            model="chat", input="and then?", previous_response_id=made.id
        )
        self.assertEqual(more.previous_response_id, made.id)
        self.client.responses.delete(made.id)

    def test_an_answer_in_the_background(self):
        made = self.client.responses.create(model="chat", input="hi there", background=True)
        self.assertEqual((made.status, made.usage), ("queued", None))
        kept = self.client.responses.retrieve(made.id, include=["reasoning.encrypted_content"])
        self.assertEqual((kept.id, kept.status), (made.id, "completed"))
        self.assertGreater(kept.usage.total_tokens, 0)
        made = self.client.responses.create(model="chat", input="and you?", background=True)
        self.assertEqual(self.client.responses.cancel(made.id).status, "cancelled")
        with self.assertRaises(openai.BadRequestError) as raised:
            self.client.responses.create(model="claude", input="hi", background=True)
        self.assertEqual(raised.exception.param, "background")

    def test_a_stream_in_the_background_is_taken_up_again(self):
        stream = self.client.responses.create(
            model="chat", input="hi there", background=True, stream=True
        )
        with stream:
            first = next(iter(stream))
        kept = list(self.client.responses.retrieve(first.response.id, stream=True))
        self.assertEqual(kept[-1].type, "response.completed")
        self.assertEqual(kept[-1].response.id, first.response.id)
        later = list(
            self.client.responses.retrieve(first.response.id, stream=True, starting_after=3)
        )
        self.assertEqual([event.sequence_number for event in later], list(range(4, len(kept))))

    def test_tokens_are_counted(self):
        for model in self.everywhere():
            count = self.client.responses.input_tokens.count(
                model=model, input="hi there", instructions="be brief", tools=[WEATHER]
            )
            self.assertEqual(count.object, "response.input_tokens")
            self.assertGreater(count.input_tokens, 0)

    def test_a_conversation_is_made_short(self):
        made = self.client.responses.create(model="chat", input="hi there")
        short = self.client.responses.compact(model="chat", previous_response_id=made.id)
        self.assertEqual(short.object, "response.compaction")
        self.assertEqual(short.output[0].type, "compaction")
        self.assertGreater(short.usage.total_tokens, 0)

    def test_errors_are_the_sdks_own(self):
        with self.assertRaises(openai.PermissionDeniedError):
            self.client.responses.retrieve("resp_of_somebody_else")
        for model in ["bridged", "claude"]:
            made = self.client.responses.create(model=model, input="hi")
            with self.assertRaises(openai.NotFoundError):
                self.client.responses.retrieve(made.id)
            with self.assertRaises(openai.BadRequestError) as raised:
                self.client.responses.create(
                    model=model, input="hi", previous_response_id=made.id
                )
            self.assertEqual(raised.exception.param, "previous_response_id")
        for status, kind in [(429, openai.RateLimitError), (503, openai.InternalServerError)]:
            control("next", {"status": status})
            with self.assertRaises(kind):
                self.client.responses.create(model="chat", input="hi")

    def test_the_azure_client(self):
        client = AzureOpenAI(
            azure_endpoint=GATEWAY, api_key=KEY, api_version="2025-04-01-preview", max_retries=0
        )
        with client:
            response = client.responses.create(model="claude", input="hi there")
        self.assertIn("hi there", response.output_text)


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_a_stream(self):
        async with AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0) as client:
            stream = await client.responses.create(model="flash", input="hi there", stream=True)
            kinds = [event.type async for event in stream]
        self.assertEqual(kinds[-1], "response.completed")

    async def test_an_answer_in_the_background(self):
        async with AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0) as client:
            made = await client.responses.create(model="chat", input="hi you", background=True)
            stream = await client.responses.retrieve(made.id, stream=True)
            kinds = [event.type async for event in stream]
            await client.responses.delete(made.id)
        self.assertEqual(kinds[-1], "response.completed")


if __name__ == "__main__":
    unittest.main()
