//! The gateway between a fake upstream and a client, as most tests want it.

use crate::{Answer, Client, Gateway, Setup, Upstream};
use serde_json::{Value, json};

/// The gateway's own key in tests.
pub const MASTER_KEY: &str = "sk-master-7c1d9be2f04a";
/// The gateway's key at the upstream.
pub const UPSTREAM_KEY: &str = "sk-upstream-51e8d0c9a7b3";
/// The path of chat.
pub const CHAT: &str = "/v1/chat/completions";
/// The upstream's name of the model behind the group `chat`.
pub const MODEL: &str = "gpt-4o-mini";

/// Both ends and what is between them.
#[derive(Debug)]
pub struct Scene {
    /// The provider.
    pub upstream: Upstream,
    /// What is tested.
    pub gateway: Gateway,
    /// A caller with the master key.
    pub client: Client,
}

impl Scene {
    /// A gateway with one group, `chat`, and a master key.
    pub async fn start(setup: Setup) -> Self {
        Self::with(setup, "").await
    }

    /// The same with more entries of `litellm_params`, one a line as `name: value`.
    pub async fn with_params(setup: Setup, params: &str) -> Self {
        let upstream = Upstream::start().await;
        let config = config(&upstream, params);
        Self::between(upstream, setup, &config).await
    }

    /// The same with more sections at the end of the file.
    pub async fn with(setup: Setup, sections: &str) -> Self {
        let upstream = Upstream::start().await;
        let config = format!("{}{sections}", config(&upstream, ""));
        Self::between(upstream, setup, &config).await
    }

    /// The same with a gateway that lets a prompt through which is longer than the model's window.
    pub async fn with_long_prompts(setup: Setup, sections: &str) -> Self {
        let upstream = Upstream::start().await;
        let unchecked = "  num_retries: 0\n  enable_pre_call_checks: false\n";
        let config = config(&upstream, "").replace("  num_retries: 0\n", unchecked);
        Self::between(upstream, setup, &format!("{config}{sections}")).await
    }

    /// A gateway with this config.
    pub async fn between(upstream: Upstream, setup: Setup, config: &str) -> Self {
        upstream.expect_key(UPSTREAM_KEY);
        let gateway = keyed(setup).config(config).start().await;
        let client = gateway.client().key(MASTER_KEY);
        Self {
            upstream,
            gateway,
            client,
        }
    }

    /// Says something to the group `chat`.
    pub async fn chat(&self) -> Answer {
        self.client.post(CHAT, &saying("hi")).await
    }
}

/// With the keys that the configs here name.
pub fn keyed(setup: Setup) -> Setup {
    setup
        .env("TEST_MASTER_KEY", MASTER_KEY)
        .env("TEST_UPSTREAM_KEY", UPSTREAM_KEY)
}

/// One group, `chat`, at this upstream, with more parameters, one a line.
pub fn config(upstream: &Upstream, params: &str) -> String {
    let params = params
        .lines()
        .fold(String::new(), |lines, line| lines + "      " + line + "\n");
    format!(
        "model_list:
  - model_name: chat
    litellm_params:
      model: openai/{MODEL}
      api_base: {}
      api_key: os.environ/TEST_UPSTREAM_KEY
{params}router_settings:
  num_retries: 0
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        upstream.url("/v1")
    )
}

/// A chat request that says this to the group `chat`.
pub fn saying(text: &str) -> Value {
    json!({"model": "chat", "messages": [{"role": "user", "content": text}]})
}

/// The same, to be answered as a stream.
pub fn streaming(text: &str) -> Value {
    let mut body = saying(text);
    body["stream"] = json!(true);
    body
}
