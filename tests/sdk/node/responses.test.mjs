// OpenAI's own Node SDK, asking for responses through the gateway: from a provider that has them, and
// from others, which are spoken to in their own dialects.
//
// The environment names the gateway (GATEWAY_URL, GATEWAY_KEY) and the fake upstream's control
// endpoints (UPSTREAM_URL).

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import OpenAI from "openai";

const { GATEWAY_URL, GATEWAY_KEY, UPSTREAM_URL } = process.env;
const client = new OpenAI({ baseURL: `${GATEWAY_URL}/v1`, apiKey: GATEWAY_KEY, maxRetries: 0 });
const models = ["chat", "bridged", "claude", "flash"];
const weather = {
  type: "function",
  name: "weather",
  parameters: {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer" } },
    required: ["city", "days"],
    additionalProperties: false,
  },
  strict: true,
};

afterEach(async () => {
  const answer = await fetch(`${UPSTREAM_URL}/__fake/violations`, { method: "POST" });
  assert.deepEqual(await answer.json(), []);
});

for (const model of models) {
  test(`a response of ${model}`, async () => {
    const response = await client.responses.create({ model, input: "hi there" });
    assert.equal(response.status, "completed");
    assert.equal(response.model, model);
    assert.match(response.output_text, /hi there/);
  });

  test(`a stream of ${model}`, async () => {
    const stream = await client.responses.create({ model, input: "hi there", stream: true });
    let text = "";
    let last = null;
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event;
    }
    assert.equal(last.type, "response.completed");
    assert.equal(last.response.output[0].content[0].text, text);
  });

  test(`the stream helper at ${model}`, async () => {
    const stream = client.responses.stream({ model, input: "hi there" });
    const response = await stream.finalResponse();
    assert.match(response.output_text, /hi there/);
  });

  test(`tools of ${model}, back and forth`, async () => {
    const input = [{ role: "user", content: "hi there" }];
    const asked = { model, tools: [weather], input };
    const response = await client.responses.create({ ...asked, tool_choice: "required" });
    const call = response.output.find((item) => item.type === "function_call");
    assert.deepEqual(Object.keys(JSON.parse(call.arguments)).sort(), ["city", "days"]);
    const output = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
    const next = { ...asked, input: [...input, ...response.output, output] };
    assert.notEqual((await client.responses.create(next)).output_text, "");
  });
}

test("a response that is kept", async () => {
  const made = await client.responses.create({ model: "chat", input: "hi there" });
  const kept = await client.responses.retrieve(made.id);
  assert.equal(kept.id, made.id);
  const items = await client.responses.inputItems.list(made.id);
  assert.equal(items.data[0].role, "user");
  const more = { model: "chat", input: "go on", previous_response_id: made.id };
  assert.equal((await client.responses.create(more)).previous_response_id, made.id);
  await client.responses.delete(made.id);
});

test("an answer in the background", async () => {
  const asked = { model: "chat", input: "hi there", background: true };
  const made = await client.responses.create(asked);
  assert.equal(made.status, "queued");
  const kept = await client.responses.retrieve(made.id);
  assert.deepEqual([kept.id, kept.status], [made.id, "completed"]);
  const stream = await client.responses.retrieve(made.id, { stream: true, starting_after: 2 });
  const numbers = [];
  for await (const event of stream) numbers.push(event.sequence_number);
  assert.equal(numbers[0], 3);
});

test("what stands beside responses", async () => {
  for (const model of models) {
    const count = await client.responses.inputTokens.count({ model, input: "hi there" });
    assert.ok(count.input_tokens > 0);
  }
  const short = await client.responses.compact({ model: "chat", input: "hi there" });
  assert.equal(short.output[0].type, "compaction");
});

test("errors are the SDK's own", async () => {
  const foreign = client.responses.retrieve("resp_of_somebody_else");
  await assert.rejects(foreign, OpenAI.PermissionDeniedError);
  const made = await client.responses.create({ model: "claude", input: "hi" });
  await assert.rejects(client.responses.retrieve(made.id), OpenAI.NotFoundError);
});
