"""Every client before every kind of upstream: the same eight things, done with each SDK's own means.

The fake upstream holds each request against the provider's own types, and every test ends with a
look at what it objected to.
"""

import json
import unittest

import anthropic
import openai
from google import genai
from google.genai import errors, types
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from ends import (
    CITY,
    GATEWAY,
    KEY,
    MODELS,
    PIXEL,
    PNG,
    SAID,
    SYSTEM,
    control,
    heard,
    received,
    signature,
)


class Place(BaseModel):
    city: str


class OpenAi:
    """OpenAI's own SDK."""

    tool = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
    errors = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
    }

    def __init__(self):
        self.client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)

    def close(self):
        self.client.close()

    def create(self, model, content=SAID, before=(), **more):
        messages = [*before, {"role": "user", "content": content}]
        return self.client.chat.completions.create(model=model, messages=messages, **more)

    def plain(self, model):
        answer = self.create(model)
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.total_tokens > 0
        assert answer.model == model
        return answer.choices[0].message.content

    def streamed(self, model):
        chunks = list(self.create(model, stream=True, stream_options={"include_usage": True}))
        assert chunks[-1].usage.total_tokens > 0
        return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

    def tools(self, model):
        answer = self.create(model, tools=[self.tool])
        message = answer.choices[0].message
        (call,) = message.tool_calls
        assert answer.choices[0].finish_reason == "tool_calls"
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        turn = [{"role": "user", "content": SAID}, message, result]
        last = self.client.chat.completions.create(model=model, messages=turn, tools=[self.tool])
        assert last.choices[0].message.content
        return call.function.name, json.loads(call.function.arguments)

    def streamed_tools(self, model):
        name, arguments = None, ""
        for chunk in self.create(model, tools=[self.tool], stream=True):
            for call in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
                name = name or call.function.name
                arguments += call.function.arguments or ""
        return name, json.loads(arguments)

    def structured(self, model):
        messages = [{"role": "user", "content": SAID}]
        answer = self.client.chat.completions.parse(
            model=model, messages=messages, response_format=Place
        )
        return answer.choices[0].message.parsed

    def image(self, model):
        url = {"url": f"data:image/png;base64,{PNG}"}
        content = [{"type": "text", "text": SAID}, {"type": "image_url", "image_url": url}]
        return self.create(model, content).choices[0].message.content

    def system(self, model):
        return self.create(model, before=[{"role": "system", "content": SYSTEM}])


class LangChain:
    """LangChain's ChatOpenAI."""

    errors = OpenAi.errors

    def close(self):
        pass

    def model(self, name):
        return ChatOpenAI(model=name, base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)

    def plain(self, model):
        answer = self.model(model).invoke(SAID)
        assert answer.usage_metadata["total_tokens"] > 0
        return answer.text

    def streamed(self, model):
        return "".join(chunk.text for chunk in self.model(model).stream(SAID))

    def tools(self, model):
        bound = self.model(model).bind_tools([OpenAi.tool])
        answer = bound.invoke(SAID)
        (call,) = answer.tool_calls
        result = ToolMessage("sunny", tool_call_id=call["id"])
        assert bound.invoke([HumanMessage(SAID), answer, result]).text
        return call["name"], call["args"]

    def streamed_tools(self, model):
        whole = None
        for chunk in self.model(model).bind_tools([OpenAi.tool]).stream(SAID):
            whole = chunk if whole is None else whole + chunk
        (call,) = whole.tool_calls
        return call["name"], call["args"]

    def structured(self, model):
        return self.model(model).with_structured_output(Place, method="json_schema").invoke(SAID)

    def image(self, model):
        image = {"type": "image", "base64": PNG, "mime_type": "image/png"}
        message = HumanMessage([{"type": "text", "text": SAID}, image])
        return self.model(model).invoke([message]).text

    def system(self, model):
        return self.model(model).invoke([SystemMessage(SYSTEM), HumanMessage(SAID)])

    def create(self, model):
        return self.model(model).invoke(SAID)


class Anthropic:
    """Anthropic's own SDK."""

    tool = {"name": "weather", "input_schema": CITY}
    errors = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
    }

    def __init__(self):
        self.client = anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0)

    def close(self):
        self.client.close()

    def asked(self, model, content=SAID, **more):
        messages = [{"role": "user", "content": content}]
        return {"model": model, "max_tokens": 64, "messages": messages, **more}

    def create(self, model, content=SAID, **more):
        return self.client.messages.create(**self.asked(model, content, **more))

    def plain(self, model):
        answer = self.create(model)
        assert (answer.model, answer.stop_reason) == (model, "end_turn")
        assert answer.usage.output_tokens > 0
        return answer.content[0].text

    def streamed(self, model):
        with self.client.messages.stream(**self.asked(model)) as stream:
            text = "".join(stream.text_stream)
            answer = stream.get_final_message()
        assert (answer.model, answer.stop_reason) == (model, "end_turn")
        assert answer.usage.output_tokens > 0
        assert answer.content[0].text == text
        return text

    def called(self, answer):
        (call,) = [block for block in answer.content if block.type == "tool_use"]
        assert answer.stop_reason == "tool_use"
        return call

    def tools(self, model):
        answer = self.create(model, tools=[self.tool])
        call = self.called(answer)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        asked = self.asked(model, tools=[self.tool])
        asked["messages"] += [
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [result]},
        ]
        assert self.client.messages.create(**asked).content[0].text
        return call.name, call.input

    def streamed_tools(self, model):
        with self.client.messages.stream(**self.asked(model, tools=[self.tool])) as stream:
            call = self.called(stream.get_final_message())
        return call.name, call.input

    def structured(self, model):
        answer = self.client.messages.parse(**self.asked(model), output_format=Place)
        return answer.parsed_output

    def image(self, model):
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        content = [{"type": "image", "source": source}, {"type": "text", "text": SAID}]
        return self.create(model, content).content[0].text

    def system(self, model):
        return self.create(model, system=SYSTEM)


class Google:
    """Google's own SDK."""

    errors = {
        400: errors.ClientError,
        401: errors.ClientError,
        404: errors.ClientError,
        429: errors.ClientError,
        500: errors.ServerError,
    }

    def __init__(self):
        options = types.HttpOptions(
            base_url=GATEWAY, retry_options=types.HttpRetryOptions(attempts=1)
        )
        self.client = genai.Client(api_key=KEY, vertexai=False, http_options=options)
        function = types.FunctionDeclaration(name="weather", parameters_json_schema=CITY)
        never = types.AutomaticFunctionCallingConfig(disable=True)
        self.calling = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[function])],
            automatic_function_calling=never,
        )

    def close(self):
        self.client.close()

    def create(self, model, contents=SAID, config=None):
        return self.client.models.generate_content(model=model, contents=contents, config=config)

    def plain(self, model):
        answer = self.create(model)
        assert answer.candidates[0].finish_reason == types.FinishReason.STOP
        assert answer.usage_metadata.total_token_count > 0
        assert answer.model_version == model
        return answer.text

    def streamed(self, model):
        chunks = list(self.client.models.generate_content_stream(model=model, contents=SAID))
        assert chunks[-1].usage_metadata.total_token_count > 0
        assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
        return "".join(chunk.text or "" for chunk in chunks)

    def tools(self, model):
        answer = self.create(model, config=self.calling)
        (call,) = answer.function_calls
        result = types.FunctionResponse(name=call.name, id=call.id, response={"result": "sunny"})
        turn = [
            types.UserContent(SAID),
            answer.candidates[0].content,
            types.UserContent(types.Part(function_response=result)),
        ]
        assert self.create(model, turn, self.calling).text
        return call.name, call.args

    def streamed_tools(self, model):
        stream = self.client.models.generate_content_stream(
            model=model, contents=SAID, config=self.calling
        )
        (call,) = [call for chunk in stream for call in chunk.function_calls or []]
        return call.name, call.args

    def structured(self, model):
        config = types.GenerateContentConfig(
            response_mime_type="application/json", response_schema=Place
        )
        return self.create(model, config=config).parsed

    def image(self, model):
        part = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
        return self.create(model, [part, SAID]).text

    def system(self, model):
        config = types.GenerateContentConfig(system_instruction=SYSTEM, temperature=0.5)
        return self.create(model, config=config)


class Matrix:
    """What is asked of each client."""

    make = None

    @classmethod
    def setUpClass(cls):
        cls.sdk = cls.make()

    @classmethod
    def tearDownClass(cls):
        cls.sdk.close()

    def each(self, check):
        for model in MODELS:
            with self.subTest(model=model):
                control("violations", None)
                check(model)
                self.assertEqual(control("violations", None), [])
                if model == "signed":
                    shown, right = signature(received())
                    self.assertEqual(shown, right)

    def test_an_answer(self):
        self.each(lambda model: self.assertTrue(heard(self.sdk.plain(model))))

    def test_a_stream(self):
        self.each(lambda model: self.assertTrue(heard(self.sdk.streamed(model))))

    def test_tools(self):
        called = ("weather", {"city": "Paris"})
        self.each(lambda model: self.assertEqual(self.sdk.tools(model), called))

    def test_streamed_tools(self):
        called = ("weather", {"city": "Paris"})
        self.each(lambda model: self.assertEqual(self.sdk.streamed_tools(model), called))

    def test_structured_output(self):
        place = Place(city="Paris")
        self.each(lambda model: self.assertEqual(self.sdk.structured(model), place))

    def test_an_image(self):
        def check(model):
            self.assertTrue(self.sdk.image(model))
            # Google's SDK writes bytes in the alphabet for URLs, and only Google reads it.
            body = received()["body"]
            own = isinstance(self.sdk, Google) and model in ("gemini", "vertex")
            self.assertIn(PNG, body.replace("-", "+").replace("_", "/") if own else body)

        self.each(check)

    def test_instructions(self):
        def check(model):
            self.sdk.system(model)
            self.assertIn(SYSTEM, received()["body"])

        self.each(check)

    def test_errors(self):
        def check(model):
            for status, kind in self.sdk.errors.items():
                control("next", {"status": status, "content": {"error": "so it is"}})
                with self.assertRaises(kind) as raised:
                    self.sdk.create(model)
                code = getattr(raised.exception, "status_code", None) or raised.exception.code
                self.assertEqual(code, status)
                self.assertIn("so it is", str(raised.exception))

        self.each(check)


class OpenAiMatrix(Matrix, unittest.TestCase):
    make = OpenAi


class LangChainMatrix(Matrix, unittest.TestCase):
    make = LangChain


class AnthropicMatrix(Matrix, unittest.TestCase):
    make = Anthropic


class GoogleMatrix(Matrix, unittest.TestCase):
    make = Google


if __name__ == "__main__":
    unittest.main()
