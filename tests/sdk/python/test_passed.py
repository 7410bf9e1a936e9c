"""Cohere's, Ollama's and AWS's own Python SDKs at their own APIs, which the gateway passes on, and
Google's in its mode for Vertex AI at the gateway's Gemini front door."""

import json
import unittest

import boto3
import botocore.config
import botocore.exceptions
import cohere
import ollama
from google import genai
from google.genai import types

from ends import CITY, GATEWAY, KEY, SAID, control, heard, received, signature

FUNCTION = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather.", "parameters": CITY},
}


class Passed(unittest.TestCase):
    def setUp(self):
        control("violations", None)

    def tearDown(self):
        self.assertEqual(control("violations", None), [])


class Cohere(Passed):
    def setUp(self):
        super().setUp()
        self.client = cohere.ClientV2(api_key=KEY, base_url=f"{GATEWAY}/cohere")

    def said(self):
        return {"model": "command-a-03-2025", "messages": [{"role": "user", "content": SAID}]}

    def test_chat(self):
        answer = self.client.chat(**self.said())
        self.assertTrue(heard(answer.message.content[0].text))
        self.assertEqual(answer.finish_reason, "COMPLETE")
        self.assertGreater(answer.usage.billed_units.input_tokens, 0)
        self.assertEqual(received()["path"], "/v2/chat")

    def test_stream(self):
        events = list(self.client.chat_stream(**self.said()))
        words = [event.delta.message.content.text for event in events if event.type == "content-delta"]
        self.assertTrue(heard("".join(words)))
        self.assertEqual(events[-1].type, "message-end")

    def test_tools(self):
        answer = self.client.chat(**self.said(), tools=[FUNCTION])
        self.assertEqual(answer.message.tool_calls[0].function.name, "weather")

    def test_embeddings_and_a_ranking(self):
        vectors = self.client.embed(
            model="embed-v4.0", texts=[SAID], input_type="search_query", embedding_types=["float"]
        )
        self.assertEqual(len(vectors.embeddings.float_), 1)
        ranking = self.client.rerank(model="rerank-v3.5", query=SAID, documents=["a", "b"], top_n=1)
        self.assertEqual(len(ranking.results), 1)

    def test_a_key_that_nobody_gave_out(self):
        stranger = cohere.ClientV2(api_key="sk-nobody", base_url=f"{GATEWAY}/cohere")
        with self.assertRaises(cohere.core.ApiError) as refused:
            stranger.chat(**self.said())
        self.assertEqual(refused.exception.status_code, 401)


class Ollama(Passed):
    def setUp(self):
        super().setUp()
        shown = {"Authorization": f"Bearer {KEY}"}
        self.client = ollama.Client(host=f"{GATEWAY}/ollama", headers=shown)

    def said(self):
        return {"model": "llama3.2", "messages": [{"role": "user", "content": SAID}]}

    def test_chat(self):
        answer = self.client.chat(**self.said(), options={"num_predict": 9})
        self.assertTrue(heard(answer.message.content))
        self.assertTrue(answer.done)
        self.assertEqual(received()["path"], "/api/chat")

    def test_stream(self):
        pieces = list(self.client.chat(**self.said(), stream=True))
        self.assertTrue(heard("".join(piece.message.content for piece in pieces)))
        self.assertTrue(pieces[-1].done)

    def test_tools(self):
        answer = self.client.chat(**self.said(), tools=[FUNCTION])
        self.assertEqual(answer.message.tool_calls[0].function.name, "weather")

    def test_embeddings(self):
        vectors = self.client.embed(model="nomic-embed-text", input=[SAID, SAID])
        self.assertEqual(len(vectors.embeddings), 2)


class Bedrock(Passed):
    """The caller's token is the gateway's key; what goes on is signed with the gateway's own."""

    MODEL = "us.anthropic.claude-opus-4-1-20250805-v1:0"
    TURN = [{"role": "user", "content": [{"text": SAID}]}]

    def setUp(self):
        super().setUp()
        self.show(KEY)

    def tearDown(self):
        shown, right = signature(received())
        self.assertEqual(shown, right)
        super().tearDown()

    def show(self, key):
        # botocore shows a token of its own to no endpoint without TLS.
        unsigned = botocore.config.Config(signature_version=botocore.UNSIGNED)
        self.client = boto3.client(
            "bedrock-runtime",
            region_name="eu-west-1",
            endpoint_url=f"{GATEWAY}/bedrock",
            config=unsigned,
        )
        self.client.meta.events.register(
            "before-sign.bedrock-runtime",
            lambda request, **_: request.headers.add_header("Authorization", f"Bearer {key}"),
        )
        self.addCleanup(self.client.close)

    def test_converse(self):
        answer = self.client.converse(
            modelId=self.MODEL, messages=self.TURN, inferenceConfig={"maxTokens": 9}
        )
        self.assertTrue(heard(answer["output"]["message"]["content"][0]["text"]))
        self.assertEqual(answer["stopReason"], "end_turn")
        self.assertGreater(answer["usage"]["inputTokens"], 0)
        self.assertTrue(received()["path"].endswith("/converse"))

    def test_stream(self):
        answer = self.client.converse_stream(modelId=self.MODEL, messages=self.TURN)
        events = list(answer["stream"])
        deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
        self.assertTrue(heard("".join(delta["text"] for delta in deltas)))
        self.assertGreater(events[-1]["metadata"]["usage"]["outputTokens"], 0)

    def test_tools(self):
        spec = {"name": "weather", "inputSchema": {"json": CITY}}
        answer = self.client.converse(
            modelId=self.MODEL, messages=self.TURN, toolConfig={"tools": [{"toolSpec": spec}]}
        )
        (call,) = [
            block["toolUse"] for block in answer["output"]["message"]["content"] if "toolUse" in block
        ]
        self.assertEqual((call["name"], call["input"]), ("weather", {"city": "Paris"}))

    def test_a_model_by_its_makers_own_api(self):
        body = {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": SAID}],
        }
        asked = {"modelId": self.MODEL, "contentType": "application/json", "body": json.dumps(body)}
        answer = self.client.invoke_model(**asked)
        self.assertTrue(heard(json.load(answer["body"])["content"][0]["text"]))
        stream = self.client.invoke_model_with_response_stream(**asked)
        events = [json.loads(event["chunk"]["bytes"]) for event in stream["body"]]
        words = [event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta"]
        self.assertTrue(heard("".join(words)))

    def test_tokens_are_counted(self):
        answer = self.client.count_tokens(
            modelId=self.MODEL, input={"converse": {"messages": self.TURN}}
        )
        self.assertGreater(answer["inputTokens"], 0)

    def test_a_key_that_nobody_gave_out(self):
        self.show("sk-nobody")
        with self.assertRaises(botocore.exceptions.ClientError) as refused:
            self.client.converse(modelId=self.MODEL, messages=self.TURN)
        self.assertEqual(refused.exception.response["ResponseMetadata"]["HTTPStatusCode"], 401)
        self.show(KEY)
        self.test_converse()


class Vertex(Passed):
    def test_the_front_door_of_gemini(self):
        for version in ["v1", "v1beta1"]:
            options = types.HttpOptions(base_url=GATEWAY, api_version=version)
            client = genai.Client(
                vertexai=True, project="p", location="europe-west6", credentials=Key(), http_options=options
            )
            for model in ["openai", "anthropic", "gemini"]:
                with self.subTest(version=version, model=model):
                    answer = client.models.generate_content(model=model, contents=SAID)
                    self.assertTrue(heard(answer.text))
                    stream = client.models.generate_content_stream(model=model, contents=SAID)
                    self.assertTrue(heard("".join(piece.text or "" for piece in stream)))


class Key:
    """What the SDK takes for credentials of Google's: their token is the gateway's key."""

    token = KEY
    expired = False
    valid = True
    quota_project_id = None

    def refresh(self, _request):
        pass


if __name__ == "__main__":
    unittest.main()
