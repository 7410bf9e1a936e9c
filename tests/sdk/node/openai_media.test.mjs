// OpenAI's own Node SDK: audio and images through the gateway to the fake upstream.
//
// The environment names the gateway (GATEWAY_URL, GATEWAY_KEY) and the fake upstream's control
// endpoints (UPSTREAM_URL).

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import OpenAI, { toFile } from "openai";

const { GATEWAY_URL, GATEWAY_KEY, UPSTREAM_URL } = process.env;
const client = new OpenAI({ baseURL: `${GATEWAY_URL}/v1`, apiKey: GATEWAY_KEY, maxRetries: 0 });
const sound = Buffer.from(Array.from({ length: 10_240 }, (_, at) => at % 256));
const heard = `hi.mp3 of ${sound.length} bytes, ${sound.reduce((a, b) => a + b, 0)} in all`;
const file = () => toFile(sound, "hi.mp3", { type: "audio/mpeg" });
const image = () => toFile(sound, "a.png", { type: "image/png" });

afterEach(async () => {
  const answer = await fetch(`${UPSTREAM_URL}/__fake/violations`, { method: "POST", body: "null" });
  assert.deepEqual(await answer.json(), []);
});

test("a transcription", async () => {
  const { transcriptions, translations } = client.audio;
  const whole = await transcriptions.create({ model: "hear", file: await file() });
  assert.equal(whole.text, heard);
  const words = await transcriptions.create({
    model: "hear",
    file: await file(),
    response_format: "verbose_json",
    timestamp_granularities: ["word", "segment"],
  });
  assert.equal(words.words[0].word, "of");
  const text = await transcriptions.create({ model: "hear", file: await file(), response_format: "srt" });
  assert.ok(text.includes(heard));
  const english = await translations.create({ model: "hear", file: await file() });
  assert.equal(english.text, heard);
});

test("a streamed transcription", async () => {
  const stream = await client.audio.transcriptions.create({
    model: "listen",
    file: await file(),
    stream: true,
  });
  const events = [];
  for await (const event of stream) events.push(event);
  assert.equal(events.at(-1).text, heard);
});

test("speech", async () => {
  const answer = await client.audio.speech.create({ model: "say", input: "hi", voice: "alloy" });
  assert.equal(answer.headers.get("content-type"), "audio/mpeg");
  const bytes = Buffer.from(await answer.arrayBuffer());
  assert.deepEqual(bytes, sound.subarray(0, 1024));
});

test("images", async () => {
  const edited = await client.images.edit({
    model: "draw",
    prompt: "a hat",
    image: [await image(), await image()],
    n: 2,
  });
  assert.equal(edited.data.length, 2);
  const varied = await client.images.createVariation({ model: "draw", image: await image() });
  assert.equal(varied.data.length, 1);
  const stream = await client.images.generate({
    model: "draw",
    prompt: "a hare",
    stream: true,
    partial_images: 2,
  });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  assert.equal(kinds.at(-1), "image_generation.completed");
});
