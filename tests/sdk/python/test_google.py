"""Google's own Python SDK beyond what every SDK can, before every kind of upstream."""

import asyncio
import json
import unittest

from google import genai
from google.genai import errors, types

from ends import GATEWAY, KEY, MODELS, SAID, control, heard, received


def client(key=KEY):
    options = types.HttpOptions(base_url=GATEWAY, retry_options=types.HttpRetryOptions(attempts=1))
    return genai.Client(api_key=key, vertexai=False, http_options=options)


def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: Where.
    """
    return f"sunny in {city}"


class Google(unittest.TestCase):
    def setUp(self):
        self.client = client()

    def tearDown(self):
        self.client.close()

    def each(self, check, models=MODELS):
        for model in models:
            with self.subTest(model=model):
                control("violations", None)
                check(model)
                self.assertEqual(control("violations", None), [])

    def test_a_function_that_the_sdk_calls_itself(self):
        config = types.GenerateContentConfig(tools=[weather])

        def check(model):
            answer = self.client.models.generate_content(model=model, contents=SAID, config=config)
            self.assertTrue(answer.text)
            self.assertEqual(len(answer.automatic_function_calling_history), 3)

        self.each(check)

    def test_a_conversation(self):
        def check(model):
            chat = self.client.chats.create(model=model)
            self.assertTrue(heard(chat.send_message(SAID).text))
            words = [chunk.text or "" for chunk in chat.send_message_stream("And then?")]
            self.assertTrue("".join(words))
            self.assertEqual(chat.get_history()[-1].role, "model")
            self.assertEqual(chat.get_history()[0].parts[0].text, SAID)

        self.each(check)

    def test_thinking(self):
        thinking = types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)
        config = types.GenerateContentConfig(thinking_config=thinking, max_output_tokens=4096)

        def check(model):
            answer = self.client.models.generate_content(model=model, contents=SAID, config=config)
            self.assertTrue(answer.text)

        # OpenAI's models of that name do not think, and Cohere's neither.
        self.each(check, ["anthropic", "gemini", "vertex", "bedrock", "ollama"])

    def test_tokens_are_counted(self):
        def check(model):
            counted = self.client.models.count_tokens(model=model, contents=SAID)
            self.assertGreater(counted.total_tokens, 0)

        self.each(check)

    def test_embeddings(self):
        def check(model):
            answer = self.client.models.embed_content(model=model, contents=["a", "b"])
            self.assertEqual(len(answer.embeddings), 2)
            self.assertEqual(answer.embeddings[0].values[0], 0.5)

        self.each(check, ["vectors", "own-vectors", "cohere-vectors"])

    def test_models(self):
        models = {model.name: model for model in self.client.models.list()}
        self.assertIn("models/openai", models)
        self.assertIn("embedContent", models["models/own-vectors"].supported_actions)
        self.assertEqual(self.client.models.get(model="gemini").name, "models/gemini")

    def test_what_only_google_knows_reaches_gemini(self):
        setting = types.SafetySetting(
            category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_ONLY_HIGH"
        )
        config = types.GenerateContentConfig(
            safety_settings=[setting], tools=[types.Tool(google_search=types.GoogleSearch())]
        )

        def check(model):
            self.client.models.generate_content(model=model, contents=SAID, config=config)
            sent = json.loads(received()["body"])
            self.assertEqual(sent["safetySettings"][0]["threshold"], "BLOCK_ONLY_HIGH")
            self.assertEqual(sent["tools"], [{"googleSearch": {}}])

        self.each(check, ["gemini", "vertex"])

    def test_a_wrong_key_and_an_unknown_model(self):
        stranger = client("sk-wrong")
        with self.assertRaises(errors.ClientError) as raised:
            stranger.models.generate_content(model="openai", contents=SAID)
        self.assertEqual((raised.exception.code, raised.exception.status), (401, "UNAUTHENTICATED"))
        with self.assertRaises(errors.ClientError) as raised:
            self.client.models.generate_content(model="nobody", contents=SAID)
        self.assertEqual(raised.exception.code, 400)

    def test_a_stream_that_breaks(self):
        first = '{"candidates":[{"content":{"parts":[{"text":"one"}],"role":"model"}}]}'
        ending = {"cut_after": len(f"data: {first}\n\n")}
        control("next", {"content": {"events": [first, first]}, "ending": ending})
        words = []
        with self.assertRaises(errors.APIError):
            for chunk in self.client.models.generate_content_stream(model="gemini", contents=SAID):
                words.append(chunk.text)
        self.assertEqual(words, ["one"])


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_many_at_once(self):
        async with client().aio as google:

            async def one(model):
                stream = await google.models.generate_content_stream(model=model, contents=SAID)
                words = [chunk.text or "" async for chunk in stream]
                self.assertTrue(heard("".join(words)))

            await asyncio.gather(*(one(model) for model in MODELS * 3))


if __name__ == "__main__":
    unittest.main()
