"""OpenAI's own Python SDK: audio and images through the gateway to the fake upstream.

The environment names the gateway (GATEWAY_URL, GATEWAY_KEY) and the fake upstream's control
endpoints (UPSTREAM_URL).
"""

import json
import os
import unittest
import urllib.request

from openai import AzureOpenAI, OpenAI

GATEWAY = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
UPSTREAM = os.environ["UPSTREAM_URL"]

SOUND = bytes(range(256)) * 40
HEARD = f"hi.mp3 of {len(SOUND)} bytes, {sum(SOUND)} in all"
FILE = ("hi.mp3", SOUND, "audio/mpeg")


def violations():
    request = urllib.request.Request(f"{UPSTREAM}/__fake/violations", data=b"null", method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


class Media(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)

    def tearDown(self):
        self.client.close()
        self.assertEqual(violations(), [])

    def test_a_transcription(self):
        answer = self.client.audio.transcriptions.create(model="hear", file=FILE, language="en")
        self.assertEqual(answer.text, HEARD)

    def test_a_transcription_with_words(self):
        answer = self.client.audio.transcriptions.create(
            model="hear",
            file=FILE,
            response_format="verbose_json",
            temperature=0.5,
            timestamp_granularities=["word", "segment"],
        )
        self.assertEqual(answer.text, HEARD)
        self.assertEqual(answer.words[0].word, "of")

    def test_a_transcription_as_text(self):
        for kind in ["text", "srt", "vtt"]:
            answer = self.client.audio.transcriptions.create(
                model="hear", file=FILE, response_format=kind
            )
            self.assertIn(HEARD, answer)

    def test_a_streamed_transcription(self):
        stream = self.client.audio.transcriptions.create(model="listen", file=FILE, stream=True)
        events = list(stream)
        self.assertEqual("".join(e.delta for e in events[:-1]), HEARD)
        self.assertEqual(events[-1].type, "transcript.text.done")
        self.assertEqual(events[-1].usage.input_tokens, 14)

    def test_a_translation(self):
        answer = self.client.audio.translations.create(model="hear", file=FILE, prompt="ships")
        self.assertEqual(answer.text, HEARD)

    def test_speech(self):
        answer = self.client.audio.speech.create(
            model="say", input="hi", voice="alloy", response_format="wav", speed=1.5
        )
        self.assertEqual(answer.content, bytes(range(256)) * 4)
        self.assertEqual(answer.response.headers["content-type"], "audio/wav")

    def test_streamed_speech(self):
        request = self.client.audio.speech.with_streaming_response
        with request.create(model="say", input="hi", voice="alloy") as answer:
            self.assertEqual(b"".join(answer.iter_bytes()), bytes(range(256)) * 4)

    def test_images(self):
        answer = self.client.images.generate(model="draw", prompt="a hare", n=2)
        self.assertEqual(len(answer.data), 2)
        edit = self.client.images.edit(
            model="draw",
            prompt="a hat",
            image=[("a.png", SOUND, "image/png"), ("b.png", SOUND, "image/png")],
            mask=("m.png", SOUND, "image/png"),
            input_fidelity="high",
        )
        self.assertEqual(edit.usage.total_tokens, 100)
        varied = self.client.images.create_variation(
            model="draw", image=("a.png", SOUND, "image/png"), n=3
        )
        self.assertEqual(len(varied.data), 3)

    def test_streamed_images(self):
        made = self.client.images.generate(
            model="draw", prompt="a hare", stream=True, partial_images=2
        )
        self.assertEqual([e.type for e in made][-1], "image_generation.completed")
        edited = self.client.images.edit(
            model="draw", prompt="a hat", image=("a.png", SOUND, "image/png"), stream=True
        )
        self.assertEqual([e.type for e in edited][-1], "image_edit.completed")

    def test_azure(self):
        with AzureOpenAI(
            azure_endpoint=GATEWAY, api_key=KEY, api_version="2024-10-21", max_retries=0
        ) as azure:
            answer = azure.audio.transcriptions.create(model="hear", file=FILE)
            self.assertEqual(answer.text, HEARD)
            speech = azure.audio.speech.create(model="say", input="hi", voice="alloy")
            self.assertEqual(len(speech.content), 1024)


if __name__ == "__main__":
    unittest.main()
