// Every client before every kind of upstream: the same eight things, done with each SDK's own means.
//
// The fake upstream holds each request against the provider's own types, and every test ends with a
// look at what it objected to.

import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ApiError, GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import {
  GATEWAY_KEY,
  GATEWAY_URL,
  city,
  control,
  heard,
  models,
  png,
  received,
  said,
  system,
} from "./ends.mjs";

const openai = new OpenAI({ baseURL: `${GATEWAY_URL}/v1`, apiKey: GATEWAY_KEY, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: GATEWAY_URL, apiKey: GATEWAY_KEY, maxRetries: 0 });
const google = new GoogleGenAI({
  apiKey: GATEWAY_KEY,
  vertexai: false,
  httpOptions: { baseUrl: GATEWAY_URL },
});

const user = (content) => ({ role: "user", content });
const place = { city: "Paris" };

const ofOpenAi = {
  tools: [{ type: "function", function: { name: "weather", parameters: city } }],
  ask(model, more = {}, content = said) {
    return openai.chat.completions.create({ model, messages: [user(content)], ...more });
  },
  async plain(model) {
    const answer = await this.ask(model);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.ok(answer.usage.total_tokens > 0);
    return answer.choices[0].message.content;
  },
  async streamed(model) {
    const stream = openai.chat.completions.stream({ model, messages: [user(said)] });
    return stream.finalContent();
  },
  async tool(model) {
    const { tools } = this;
    const { message } = (await this.ask(model, { tools })).choices[0];
    const [call] = message.tool_calls;
    const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
    const messages = [user(said), message, result];
    const last = await openai.chat.completions.create({ model, messages, tools });
    assert.ok(last.choices[0].message.content);
    return [call.function.name, JSON.parse(call.function.arguments)];
  },
  async streamedTool(model) {
    const { tools } = this;
    const stream = openai.chat.completions.stream({ model, messages: [user(said)], tools });
    const [call] = (await stream.finalMessage()).tool_calls;
    return [call.function.name, JSON.parse(call.function.arguments)];
  },
  async structured(model) {
    const json_schema = { name: "place", schema: city, strict: true };
    const answer = await this.ask(model, { response_format: { type: "json_schema", json_schema } });
    return JSON.parse(answer.choices[0].message.content);
  },
  image(model) {
    const url = `data:image/png;base64,${png}`;
    const content = [
      { type: "text", text: said },
      { type: "image_url", image_url: { url } },
    ];
    return this.ask(model, {}, content);
  },
  system(model) {
    const messages = [{ role: "system", content: system }, user(said)];
    return openai.chat.completions.create({ model, messages });
  },
  errors: {
    400: OpenAI.BadRequestError,
    401: OpenAI.AuthenticationError,
    429: OpenAI.RateLimitError,
    500: OpenAI.InternalServerError,
  },
};

const ofAnthropic = {
  tools: [{ name: "weather", input_schema: city }],
  asked(model, more = {}, content = said) {
    return { model, max_tokens: 64, messages: [user(content)], ...more };
  },
  ask(model, more, content) {
    return anthropic.messages.create(this.asked(model, more, content));
  },
  async plain(model) {
    const answer = await this.ask(model);
    assert.equal(answer.stop_reason, "end_turn");
    assert.ok(answer.usage.output_tokens > 0);
    return answer.content[0].text;
  },
  async streamed(model) {
    return anthropic.messages.stream(this.asked(model)).finalText();
  },
  call(answer) {
    assert.equal(answer.stop_reason, "tool_use");
    const [call] = answer.content.filter((block) => block.type === "tool_use");
    return call;
  },
  async tool(model) {
    const { tools } = this;
    const answer = await this.ask(model, { tools });
    const call = this.call(answer);
    const result = { type: "tool_result", tool_use_id: call.id, content: "sunny" };
    const messages = [user(said), { role: "assistant", content: answer.content }, user([result])];
    const last = await this.ask(model, { tools, messages });
    assert.ok(last.content[0].text);
    return [call.name, call.input];
  },
  async streamedTool(model) {
    const stream = anthropic.messages.stream(this.asked(model, { tools: this.tools }));
    const call = this.call(await stream.finalMessage());
    return [call.name, call.input];
  },
  async structured(model) {
    const output_config = { format: { type: "json_schema", schema: city } };
    return JSON.parse((await this.ask(model, { output_config })).content[0].text);
  },
  image(model) {
    const source = { type: "base64", media_type: "image/png", data: png };
    return this.ask(model, {}, [
      { type: "image", source },
      { type: "text", text: said },
    ]);
  },
  system(model) {
    return this.ask(model, { system });
  },
  errors: {
    400: Anthropic.BadRequestError,
    401: Anthropic.AuthenticationError,
    429: Anthropic.RateLimitError,
    500: Anthropic.InternalServerError,
  },
};

const ofGoogle = {
  config: { tools: [{ functionDeclarations: [{ name: "weather", parametersJsonSchema: city }] }] },
  ask(model, config, contents = said) {
    return google.models.generateContent({ model, contents, config });
  },
  async plain(model) {
    const answer = await this.ask(model);
    assert.equal(answer.candidates[0].finishReason, "STOP");
    assert.ok(answer.usageMetadata.totalTokenCount > 0);
    return answer.text;
  },
  async streamed(model) {
    let text = "";
    const stream = await google.models.generateContentStream({ model, contents: said });
    for await (const chunk of stream) text += chunk.text ?? "";
    return text;
  },
  async tool(model) {
    const answer = await this.ask(model, this.config);
    const [call] = answer.functionCalls;
    const response = { id: call.id, name: call.name, response: { output: "sunny" } };
    const contents = [
      { role: "user", parts: [{ text: said }] },
      answer.candidates[0].content,
      { role: "user", parts: [{ functionResponse: response }] },
    ];
    assert.ok((await this.ask(model, this.config, contents)).text);
    return [call.name, call.args];
  },
  async streamedTool(model) {
    const asked = { model, contents: said, config: this.config };
    const calls = [];
    for await (const chunk of await google.models.generateContentStream(asked)) {
      calls.push(...(chunk.functionCalls ?? []));
    }
    assert.equal(calls.length, 1);
    return [calls[0].name, calls[0].args];
  },
  async structured(model) {
    const config = { responseMimeType: "application/json", responseJsonSchema: city };
    return JSON.parse((await this.ask(model, config)).text);
  },
  image(model) {
    const contents = [{ inlineData: { mimeType: "image/png", data: png } }, { text: said }];
    return this.ask(model, undefined, contents);
  },
  system(model) {
    return this.ask(model, { systemInstruction: system, temperature: 0.5 });
  },
  errors: { 400: ApiError, 401: ApiError, 429: ApiError, 500: ApiError },
};

for (const [name, sdk] of Object.entries({ openai: ofOpenAi, anthropic: ofAnthropic, google: ofGoogle })) {
  for (const model of models) {
    test(`${name} before ${model}`, async (t) => {
      const check = (what, body) =>
        t.test(what, async () => {
          await body();
          assert.deepEqual(await control("violations", null), []);
        });
      await check("an answer", async () => assert.ok(heard(await sdk.plain(model))));
      await check("a stream", async () => assert.ok(heard(await sdk.streamed(model))));
      await check("tools", async () => {
        assert.deepEqual(await sdk.tool(model), ["weather", place]);
      });
      await check("streamed tools", async () => {
        assert.deepEqual(await sdk.streamedTool(model), ["weather", place]);
      });
      await check("structured output", async () => {
        assert.deepEqual(await sdk.structured(model), place);
      });
      await check("an image", async () => {
        await sdk.image(model);
        assert.ok((await received()).body.includes(png));
      });
      await check("instructions", async () => {
        await sdk.system(model);
        assert.ok((await received()).body.includes(system));
      });
      await check("errors", async () => {
        for (const [status, kind] of Object.entries(sdk.errors)) {
          await control("next", { status: Number(status), content: { error: "so it is" } });
          await assert.rejects(sdk.plain(model), (error) => {
            assert.ok(error instanceof kind, `${error}`);
            assert.equal(error.status, Number(status));
            assert.match(error.message, /so it is/);
            return true;
          });
        }
      });
    });
  }
}
