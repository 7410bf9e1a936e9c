// What every script here talks to, and what it says.
//
// The environment names the gateway (GATEWAY_URL, GATEWAY_KEY) and the fake upstream's control
// endpoints (UPSTREAM_URL).

export const { GATEWAY_URL, GATEWAY_KEY, UPSTREAM_URL } = process.env;

// One model group for each kind of upstream, all of them behind the same gateway.
export const models = ["openai", "anthropic", "gemini", "vertex", "bedrock", "signed", "cohere", "ollama"];

export const said = "hi there";
export const system = "Speak like a railwayman.";
export const png =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA" +
  "AABJRU5ErkJggg==";
export const city = {
  type: "object",
  properties: { city: { type: "string", description: "Where." } },
  required: ["city"],
  additionalProperties: false,
};

export async function control(path, body) {
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body) };
  return (await fetch(`${UPSTREAM_URL}/__fake/${path}`, options)).json();
}

export async function received() {
  const all = await (await fetch(`${UPSTREAM_URL}/__fake/requests`)).json();
  return all.at(-1);
}

// Whether an answer is what the fake upstreams say to a text.
export const heard = (text) => text.includes(said) || text.startsWith("Heard ");
