"""Anthropic's own Python SDK as agents use it, before every kind of upstream."""

import asyncio
import json
import unittest

import anthropic
from anthropic import Anthropic, AsyncAnthropic

from ends import CITY, GATEWAY, KEY, MODELS, SAID, SYSTEM, control, heard, received

ONCE = {"type": "ephemeral"}
# What a coding agent sends with every turn.
AGENT = {
    "max_tokens": 4096,
    "system": [
        {"type": "text", "text": SYSTEM},
        {"type": "text", "text": "Be brief.", "cache_control": ONCE},
    ],
    "tools": [{"name": "weather", "input_schema": CITY, "cache_control": ONCE}],
    "metadata": {"user_id": "user_1"},
    "betas": ["claude-code-20250219", "interleaved-thinking-2025-05-14"],
}
HELLO = [{"role": "user", "content": [{"type": "text", "text": SAID, "cache_control": ONCE}]}]


class Agents(unittest.TestCase):
    def setUp(self):
        self.client = Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0)

    def tearDown(self):
        self.client.close()

    def each(self, check):
        for model in MODELS:
            with self.subTest(model=model):
                control("violations", None)
                check(model)
                self.assertEqual(control("violations", None), [])

    def test_a_turn_of_an_agent(self):
        def check(model):
            asked = {"model": model, "messages": HELLO, **AGENT}
            kinds = []
            with self.client.beta.messages.stream(**asked) as stream:
                for event in stream:
                    kinds.append(event.type)
                answer = stream.get_final_message()
            self.assertEqual((kinds[0], kinds[-1]), ("message_start", "message_stop"))
            self.assertEqual(kinds.count("message_delta"), 1)
            (call,) = [block for block in answer.content if block.type == "tool_use"]
            self.assertEqual((call.name, call.input), ("weather", {"city": "Paris"}))
            result = {"type": "tool_result", "tool_use_id": call.id, "cache_control": ONCE}
            result["content"] = [{"type": "text", "text": "sunny"}]
            asked["messages"] = [
                *HELLO,
                {"role": "assistant", "content": answer.content},
                {"role": "user", "content": [result]},
            ]
            last = self.client.beta.messages.create(**asked)
            self.assertEqual(last.stop_reason, "end_turn")
            self.assertEqual(last.content[-1].type, "text")

        self.each(check)

    def test_thinking(self):
        thinking = {"type": "enabled", "budget_tokens": 1024}

        def check(model):
            asked = {"model": model, "max_tokens": 4096, "messages": HELLO, "thinking": thinking}
            with self.client.messages.stream(**asked) as stream:
                answer = stream.get_final_message()
            whole = self.client.messages.create(**asked)
            for one in (answer, whole):
                self.assertEqual(one.content[-1].type, "text")
            # What was thought goes back as it came.
            asked["messages"] = [
                *HELLO,
                {"role": "assistant", "content": answer.content},
                {"role": "user", "content": "And then?"},
            ]
            self.assertTrue(self.client.messages.create(**asked).content[-1].text)

        self.each(check)

    def test_tokens_are_counted(self):
        def check(model):
            asked = {"model": model, "messages": HELLO, "system": SYSTEM}
            tools = AGENT["tools"]
            plain = self.client.messages.count_tokens(**asked, tools=tools)
            beta = self.client.beta.messages.count_tokens(**asked, tools=tools)
            self.assertGreater(plain.input_tokens, 0)
            self.assertEqual(plain.input_tokens, beta.input_tokens)

        self.each(check)

    def test_anthropic_gets_its_betas(self):
        self.client.beta.messages.create(model="anthropic", messages=HELLO, **AGENT)
        sent = received()
        betas = [value for name, value in sent["headers"] if name == "anthropic-beta"]
        self.assertIn("interleaved-thinking-2025-05-14", betas[0])
        body = json.loads(sent["body"])
        self.assertEqual(body["metadata"], {"user_id": "user_1"})
        self.assertEqual(body["system"], AGENT["system"])

    def test_a_key_as_a_bearer_token(self):
        with Anthropic(base_url=GATEWAY, auth_token=KEY, max_retries=0) as client:
            answer = client.messages.create(model="openai", max_tokens=64, messages=HELLO)
            self.assertTrue(heard(answer.content[0].text))

    def test_a_wrong_key_and_an_unknown_model(self):
        with Anthropic(base_url=GATEWAY, api_key="sk-wrong", max_retries=0) as client:
            with self.assertRaises(anthropic.AuthenticationError):
                client.messages.create(model="openai", max_tokens=64, messages=HELLO)
        with self.assertRaises(anthropic.BadRequestError) as raised:
            self.client.messages.create(model="nobody", max_tokens=64, messages=HELLO)
        self.assertEqual(raised.exception.body["error"]["type"], "invalid_request_error")

    def test_an_overloaded_provider(self):
        control("next", {"status": 529, "content": {"error": "busy"}})
        with self.assertRaises(anthropic.APIStatusError) as raised:
            self.client.messages.create(model="anthropic", max_tokens=64, messages=HELLO)
        self.assertIn(raised.exception.status_code, (503, 529))
        self.assertEqual(raised.exception.body["error"]["type"], "overloaded_error")


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_many_at_once(self):
        async with AsyncAnthropic(base_url=GATEWAY, api_key=KEY, max_retries=0) as client:

            async def one(model):
                messages = [{"role": "user", "content": SAID}]
                asked = {"model": model, "max_tokens": 64, "messages": messages}
                async with client.messages.stream(**asked) as stream:
                    self.assertTrue(heard(await stream.get_final_text()))

            await asyncio.gather(*(one(model) for model in MODELS * 3))


if __name__ == "__main__":
    unittest.main()
