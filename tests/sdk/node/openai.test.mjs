// OpenAI's own Node SDK, talking through the gateway to the fake upstream.
//
// The environment names the gateway (GATEWAY_URL, GATEWAY_KEY) and the fake upstream's control
// endpoints (UPSTREAM_URL).

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import OpenAI, { AzureOpenAI } from "openai";

const { GATEWAY_URL, GATEWAY_KEY, UPSTREAM_URL } = process.env;
const client = new OpenAI({ baseURL: `${GATEWAY_URL}/v1`, apiKey: GATEWAY_KEY, maxRetries: 0 });
const hello = [{ role: "user", content: "hi there" }];
const weather = {
  type: "function",
  function: {
    name: "weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, days: { type: "integer" } },
      required: ["city", "days"],
    },
  },
};
const pixel =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk" +
  "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async function control(path, body) {
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body) };
  return (await fetch(`${UPSTREAM_URL}/__fake/${path}`, options)).json();
}

async function received() {
  const all = await (await fetch(`${UPSTREAM_URL}/__fake/requests`)).json();
  return { ...all.at(-1), body: JSON.parse(all.at(-1).body) };
}

async function text(stream) {
  let whole = "";
  for await (const chunk of stream) whole += chunk.choices[0]?.delta?.content ?? "";
  return whole;
}

afterEach(async () => assert.deepEqual(await control("violations", null), []));

test("an answer", async () => {
  const answer = await client.chat.completions.create({ model: "chat", messages: hello });
  assert.equal(answer.choices[0].message.content, "You said: hi there");
  assert.equal(answer.model, "chat");
  assert.equal(answer.usage.total_tokens, 30);
});

test("the base URL without a version", async () => {
  const plain = new OpenAI({ baseURL: GATEWAY_URL, apiKey: GATEWAY_KEY, maxRetries: 0 });
  const answer = await plain.chat.completions.create({ model: "chat", messages: hello });
  assert.equal(answer.model, "chat");
});

test("a stream", async () => {
  const body = { model: "chat", messages: hello, stream: true };
  assert.equal(await text(await client.chat.completions.create(body)), "You said: hi there");
});

test("a stream with usage", async () => {
  const stream = await client.chat.completions.create({
    model: "chat",
    messages: hello,
    stream: true,
    stream_options: { include_usage: true },
  });
  let usage = null;
  for await (const chunk of stream) usage = chunk.usage ?? usage;
  assert.equal(usage.total_tokens, 30);
});

test("the stream helper", async () => {
  const stream = client.chat.completions.stream({ model: "chat", messages: hello });
  assert.equal(await stream.finalContent(), "You said: hi there");
});

test("every character of a text", async () => {
  const said = "\u2028 \u2029 \u0085 é 🚂 \\ \"";
  const messages = [{ role: "user", content: said }];
  const stream = await client.chat.completions.create({ model: "chat", messages, stream: true });
  assert.equal(await text(stream), `You said: ${said}`);
});

test("tools, whole and streamed", async () => {
  const body = { model: "chat", messages: hello, tools: [weather] };
  const whole = await client.chat.completions.create(body);
  const [call] = whole.choices[0].message.tool_calls;
  assert.equal(call.function.name, "weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris", days: 7 });
  const helper = client.chat.completions.stream(body);
  const [streamed] = (await helper.finalMessage()).tool_calls;
  assert.deepEqual(JSON.parse(streamed.function.arguments), { city: "Paris", days: 7 });
});

test("JSON mode", async () => {
  const format = { response_format: { type: "json_object" } };
  const answer = await client.chat.completions.create({ model: "chat", messages: hello, ...format });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { answer: 42 });
});

test("images", async () => {
  const content = [
    { type: "text", text: "What is this?" },
    { type: "image_url", image_url: { url: pixel } },
  ];
  const messages = [{ role: "user", content }];
  const answer = await client.chat.completions.create({ model: "chat", messages });
  assert.equal(answer.choices[0].message.content, "You showed 1 images and 1 texts");
  assert.deepEqual((await received()).body.messages, messages);
});

test("embeddings as the SDK asks for them, and as numbers", async () => {
  const answer = await client.embeddings.create({ model: "vectors", input: ["a", "b"] });
  assert.deepEqual(Array.from(answer.data[1].embedding), [0.5, -0.125, 0.25]);
  assert.equal((await received()).body.encoding_format, "base64");
  const plain = { model: "vectors", input: "a", encoding_format: "float" };
  const numbers = await client.embeddings.create(plain);
  assert.deepEqual(numbers.data[0].embedding, [0.5, -0.125, 0.25]);
});

test("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("chat"));
});

test("a wrong key", async () => {
  const stranger = new OpenAI({ baseURL: GATEWAY_URL, apiKey: "sk-wrong", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

test("an unknown model", async () => {
  const call = client.chat.completions.create({ model: "nothing", messages: hello });
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.code, "400");
    return true;
  });
});

test("a rate limit", async () => {
  await control("next", { status: 429, headers: [["retry-after", "7"]] });
  const call = client.chat.completions.create({ model: "chat", messages: hello });
  await assert.rejects(call, OpenAI.RateLimitError);
});

test("a stream that breaks", async () => {
  const first = '{"choices":[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}';
  const ending = { cut_after: `data: ${first}\n\n`.length };
  await control("next", { content: { events: [first, first] }, ending });
  const body = { model: "chat", messages: hello, stream: true };
  const stream = await client.chat.completions.create(body);
  await assert.rejects(text(stream), OpenAI.APIError);
});

test("a call that is given up", async () => {
  await control("next", { hold_head: true });
  const giveUp = new AbortController();
  const body = { model: "chat", messages: hello };
  const before = (await (await fetch(`${UPSTREAM_URL}/__fake/requests`)).json()).length;
  const call = client.chat.completions.create(body, { signal: giveUp.signal });
  const rejected = assert.rejects(call, OpenAI.APIUserAbortError);
  const arrived = async () => (await (await fetch(`${UPSTREAM_URL}/__fake/requests`)).json())[before];
  while (!(await arrived())) await new Promise((next) => setTimeout(next, 5));
  giveUp.abort();
  await rejected;
  while ((await arrived()).outcome !== "abandoned") await new Promise((next) => setTimeout(next, 5));
});

test("the Azure client", async () => {
  const options = { endpoint: GATEWAY_URL, apiKey: GATEWAY_KEY, apiVersion: "2024-10-21" };
  const azure = new AzureOpenAI({ ...options, maxRetries: 0 });
  const answer = await azure.chat.completions.create({ model: "chat", messages: hello });
  assert.equal(answer.choices[0].message.content, "You said: hi there");
  const body = { model: "chat", messages: hello, stream: true };
  assert.equal(await text(await azure.chat.completions.create(body)), "You said: hi there");
});
