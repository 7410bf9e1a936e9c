"""What every script here talks to, and what it says.

The environment names the gateway (GATEWAY_URL, GATEWAY_KEY), the fake upstream's control endpoints
(UPSTREAM_URL) and the key that the gateway signs with (TEST_AWS_ID, TEST_AWS_SECRET).
"""

import base64
import json
import os
import urllib.request

GATEWAY = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
UPSTREAM = os.environ["UPSTREAM_URL"]

# One model group for each kind of upstream, all of them behind the same gateway. Bedrock is there with
# a bearer token and, as `signed`, with a key that signs.
MODELS = ["openai", "anthropic", "gemini", "vertex", "bedrock", "signed", "cohere", "ollama"]

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


def signature(request):
    """The signature that a request to AWS shows, and the one that botocore gives to it."""
    # Only what reaches AWS needs it.
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    headers = dict(request["headers"])
    _, shown = headers["authorization"].split(" ", 1)
    said = dict(part.strip().split("=", 1) for part in shown.split(","))
    key, _date, region, service, _ = said["Credential"].split("/")
    again = AWSRequest(
        method=request["method"],
        url=f"http://{headers['host']}{request['path']}",
        headers={name: headers[name] for name in said["SignedHeaders"].split(";")},
        data=request["body"].encode(),
    )
    again.context["timestamp"] = headers["x-amz-date"]
    own = SigV4Auth(Credentials(key, os.environ["TEST_AWS_SECRET"]), service, region)
    text = own.string_to_sign(again, own.canonical_request(again))
    assert key == os.environ["TEST_AWS_ID"]
    return said["Signature"], own.signature(text, again)


def heard(text):
    """Whether an answer is what the fake upstreams say to a text."""
    return SAID in text or text.startswith("Heard ")
