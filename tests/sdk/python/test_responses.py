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


def anthropic(*blocks, stop="end_turn"):
    """The events of Anthropic's stream with these blocks: each its beginning and its deltas."""
    usage = {"input_tokens": 9, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    yield {"type": "message_start", "message": message | {"stop_reason": None, "usage": usage}}
    for index, (begin, *deltas) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": begin}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": stop, "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def chunks(*deltas, finish="stop"):
    """The chunks of OpenAI's chat with these deltas."""
    last = [({}, finish)]
    for delta, finish_reason in [(delta, None) for delta in deltas] + last:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        yield chunk | {"choices": [choice]}


class Events(unittest.TestCase):
    """What providers that have no responses stream, as the SDK puts it together."""

    def setUp(self):
        self.client = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)

    def tearDown(self):
        self.client.close()
        self.assertEqual(control("violations", None), [])

    def stream(self, model, events, **asked):
        events = [json.dumps(event) for event in events]
        control("next", {"content": {"events": events}, "done": model == "bridged"})
        with self.client.responses.stream(model=model, input="go", **asked) as stream:
            events = list(stream)
        kinds = []
        for event in events:
            if event.type not in kinds[-1:]:
                kinds.append(event.type)
        self.assertEqual(kinds[:2], ["response.created", "response.in_progress"])
        self.assertEqual([e.sequence_number for e in events], list(range(len(events))))
        return kinds[2:], events

    def test_a_search_of_the_web_and_what_it_found(self):
        search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
        query = {"type": "input_json_delta", "partial_json": '{"query": "trains"}'}
        found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
        source = {"type": "web_search_result_location", "url": "https://a.example", "title": "A"}
        source |= {"cited_text": "late", "encrypted_index": "x"}
        words = {"type": "text_delta", "text": "It is late."}
        cited = {"type": "citations_delta", "citation": source}
        events = anthropic(
            (search, query), (found,), ({"type": "text", "text": ""}, words, cited)
        )
        kinds, events = self.stream("claude", events, tools=[{"type": "web_search"}])
        expected = [
            "output_item.added",
            "web_search_call.in_progress",
            "web_search_call.searching",
            "web_search_call.completed",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.annotation.added",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
        self.assertEqual(kinds, [f"response.{kind}" for kind in expected])
        call, message = events[-1].response.output
        self.assertEqual((call.status, call.action.query), ("completed", "trains"))
        self.assertEqual(message.content[0].annotations[0].url, "https://a.example")
        # What it did goes back with what is said next.
        said = [{"role": "user", "content": "go"}, *events[-1].response.output]
        said.append({"role": "user", "content": "and now?"})
        search["input"] = {"query": "trains"}
        usage = {"input_tokens": 9, "output_tokens": 5}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
        message |= {"content": [search, found], "stop_reason": "end_turn", "usage": usage}
        control("next", {"content": {"json": message}})
        again = self.client.responses.create(model="claude", input=said)
        self.assertEqual([item.type for item in again.output], ["web_search_call"])
        self.assertEqual(again.output[0].action.query, "trains")

    def test_a_thought_and_a_call(self):
        thought = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": "Let me "},
            {"type": "thinking_delta", "thinking": "see."},
            {"type": "signature_delta", "signature": "sig"},
        ]
        call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
        pieces = ['{"city": "Rome",', ' "days": 2}']
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        events = anthropic((thought, *deltas), (call, *pieces), stop="tool_use")
        kinds, events = self.stream(
            "claude",
            events,
            tools=[WEATHER],
            max_output_tokens=9000,
            reasoning={"effort": "low", "summary": "auto"},
        )
        expected = [
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
        self.assertEqual(kinds, [f"response.{kind}" for kind in expected])
        thought, call = events[-1].response.output
        self.assertEqual(thought.summary[0].text, "Let me see.")
        self.assertEqual(json.loads(call.arguments), {"city": "Rome", "days": 2})

    def test_a_refusal(self):
        events = chunks({"role": "assistant", "refusal": "I "}, {"refusal": "will not."})
        kinds, events = self.stream("bridged", events)
        expected = [
            "output_item.added",
            "content_part.added",
            "refusal.delta",
            "refusal.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
        self.assertEqual(kinds, [f"response.{kind}" for kind in expected])
        part = events[-1].response.output[0].content[0]
        self.assertEqual((part.type, part.refusal), ("refusal", "I will not."))

    def test_a_custom_tool(self):
        custom = {"name": "shell", "input": "ls -l"}
        call = {"index": 0, "id": "call_1", "type": "custom", "custom": custom}
        events = chunks({"role": "assistant", "tool_calls": [call]}, finish="tool_calls")
        kinds, events = self.stream("bridged", events, tools=[{"type": "custom", "name": "shell"}])
        expected = [
            "output_item.added",
            "custom_tool_call_input.delta",
            "custom_tool_call_input.done",
            "output_item.done",
            "completed",
        ]
        self.assertEqual(kinds, [f"response.{kind}" for kind in expected])
        call = events[-1].response.output[0]
        self.assertEqual((call.type, call.name, call.input), ("custom_tool_call", "shell", "ls -l"))

    def test_an_answer_that_is_cut(self):
        text = {"type": "text", "text": ""}
        words = {"type": "text_delta", "text": "One two"}
        content = {"role": "model", "parts": [{"text": "One two"}]}
        cut = {"index": 0, "content": content, "finishReason": "MAX_TOKENS"}
        for model, events in [
            ("claude", anthropic((text, words), stop="max_tokens")),
            ("bridged", chunks({"role": "assistant", "content": "One two"}, finish="length")),
            ("flash", [{"candidates": [cut]}]),
        ]:
            with self.subTest(model=model):
                kinds, events = self.stream(model, events, max_output_tokens=16)
                self.assertEqual(kinds[-1], "response.incomplete")
                response = events[-1].response
                self.assertEqual(response.status, "incomplete")
                self.assertEqual(response.incomplete_details.reason, "max_output_tokens")
                self.assertEqual(response.output[0].status, "incomplete")
                self.assertEqual(response.output_text, "One two")

    def test_sources_of_gemini(self):
        content = {"role": "model", "parts": [{"text": "It is late."}]}
        chunk = {"web": {"uri": "https://a.example", "title": "A"}}
        support = {"segment": {"startIndex": 0, "endIndex": 11}, "groundingChunkIndices": [0]}
        grounding = {"groundingChunks": [chunk], "groundingSupports": [support]}
        candidate = {"index": 0, "content": content, "finishReason": "STOP"}
        events = [{"candidates": [candidate | {"groundingMetadata": grounding}]}]
        kinds, events = self.stream("flash", events, tools=[{"type": "web_search"}])
        self.assertIn("response.output_text.annotation.added", kinds)
        source = events[-1].response.output[0].content[0].annotations[0]
        self.assertEqual((source.type, source.url), ("url_citation", "https://a.example"))
        self.assertEqual((source.start_index, source.end_index), (0, 11))

    def test_a_parsed_stream(self):
        for model in MODELS:
            with self.subTest(model=model):
                with self.client.responses.stream(
                    model=model, input="where?", text_format=Place
                ) as stream:
                    parsed = stream.get_final_response().output_parsed
                self.assertIsInstance(parsed, Place)


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
