"""What every script here talks to, and what it says.

The environment names the gateway (GATEWAY_URL, GATEWAY_KEY) and the fake upstream's control
endpoints (UPSTREAM_URL).
"""

import base64
import json
import os
import urllib.request

GATEWAY = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
UPSTREAM = os.environ["UPSTREAM_URL"]

# One model group for each kind of upstream, all of them behind the same gateway.
MODELS = ["openai", "anthropic", "gemini", "vertex", "bedrock", "cohere", "ollama"]

SAID = "hi there"
SYSTEM = "Speak like a railwayman."
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
PIXEL = base64.b64decode(PNG)
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where."}},
    "required": ["city"],
    "additionalProperties": False,
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
        return json.load(answer)[-1]


def heard(text):
    """Whether an answer is what the fake upstreams say to a text."""
    return SAID in text or text.startswith("Heard ")
