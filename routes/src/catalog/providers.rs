//! Who answers: one row for each provider.

use std::borrow::Cow;

use crate::table::{Auth, List, Protocol, Provider, Text};

const fn text(text: &'static str) -> Text {
    Cow::Borrowed(text)
}

const fn base(url: &'static str) -> Option<Text> {
    if url.is_empty() {
        None
    } else {
        Some(Cow::Borrowed(url))
    }
}

const V1: Text = text("/v1");

/// Has not learnt the newer name.
const MAX_TOKENS: List<(Text, Text)> =
    Cow::Borrowed(&[(text("max_completion_tokens"), text("max_tokens"))]);
/// Has dropped the older name.
const MAX_COMPLETION_TOKENS: List<(Text, Text)> =
    Cow::Borrowed(&[(text("max_tokens"), text("max_completion_tokens"))]);
/// Refuses every field that it does not know.
const MISTRAL: List<(Text, Text)> = Cow::Borrowed(&[
    (text("max_completion_tokens"), text("max_tokens")),
    (text("seed"), text("random_seed")),
]);

// Who has `/responses`: OpenAI's API reference; Azure OpenAI's ("Responses API"); xAI's and Groq's
// ("Responses API", both under their own base); OpenRouter's ("Responses API Beta"); Fireworks'
// ("Responses API"); Volcengine Ark's (`/api/v3/responses`); the documentation of vLLM ("OpenAI-Compatible
// Server"), of LM Studio (since 0.3.29) and of LiteLLM's proxy.

/// What a row is where it says nothing else: OpenAI's protocol, its key as a bearer token.
const ROW: Provider = Provider {
    name: Cow::Borrowed(""),
    protocol: Protocol::OpenAi,
    base_url: None,
    path: Cow::Borrowed(""),
    auth: Auth::Bearer,
    key_env: Cow::Borrowed(&[]),
    base_env: Cow::Borrowed(&[]),
    renames: Cow::Borrowed(&[]),
    keyless: false,
    stream_options: true,
    responses: false,
};

macro_rules! native {
    ($($name:literal $protocol:ident $base:literal [$($key:literal),*] [$($env:literal),*]
        { $($field:ident: $value:expr),* };)*) => {
        &[$(Provider {
            name: text($name),
            protocol: Protocol::$protocol,
            base_url: base($base),
            key_env: Cow::Borrowed(&[$(Cow::Borrowed($key)),*]),
            base_env: Cow::Borrowed(&[$(Cow::Borrowed($env)),*]),
            $($field: $value,)*
            ..ROW
        }),*]
    };
}

macro_rules! vendors {
    ($($name:literal $base:literal $keys:tt $bases:tt $rest:tt;)*) => {
        native! { $($name OpenAi $base $keys $bases $rest;)* }
    };
}

macro_rules! others {
    ($($name:literal $keys:tt;)*) => {
        native! { $($name Other "" $keys [] { keyless: true };)* }
    };
}

/// Those with a protocol of their own, and OpenAI itself.
pub(super) const NATIVE: &[Provider] = native! {
    "anthropic" Anthropic "https://api.anthropic.com"
        ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"] ["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"]
        { auth: Auth::Header(text("x-api-key")) };
    "azure" Azure ""
        ["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"] ["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"]
        { auth: Auth::Header(text("api-key")), responses: true };
    "azure_ai" OpenAi ""
        ["AZURE_AI_API_KEY"] ["AZURE_AI_API_BASE"]
        { auth: Auth::Header(text("api-key")) };
    "azure_text" Azure ""
        ["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"] ["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"]
        { auth: Auth::Header(text("api-key")) };
    "bedrock" Bedrock ""
        ["AWS_BEARER_TOKEN_BEDROCK"] ["AWS_BEDROCK_RUNTIME_ENDPOINT"]
        { auth: Auth::Protocol, keyless: true };
    "bedrock_converse" Bedrock ""
        ["AWS_BEARER_TOKEN_BEDROCK"] ["AWS_BEDROCK_RUNTIME_ENDPOINT"]
        { auth: Auth::Protocol, keyless: true };
    "cohere" Cohere "https://api.cohere.com"
        ["COHERE_API_KEY", "CO_API_KEY"] ["COHERE_API_BASE"] {};
    "cohere_chat" Cohere "https://api.cohere.com"
        ["COHERE_API_KEY", "CO_API_KEY"] ["COHERE_API_BASE"] {};
    "gemini" Gemini "https://generativelanguage.googleapis.com"
        ["GOOGLE_API_KEY", "GEMINI_API_KEY"] ["GEMINI_API_BASE"]
        { auth: Auth::Header(text("x-goog-api-key")) };
    "jina_ai" Jina "https://api.jina.ai/v1"
        ["JINA_AI_API_KEY", "JINA_API_KEY"] ["JINA_AI_API_BASE"] {};
    "ollama" Ollama "http://localhost:11434"
        ["OLLAMA_API_KEY"] ["OLLAMA_API_BASE"] { keyless: true };
    "ollama_chat" Ollama "http://localhost:11434"
        ["OLLAMA_API_KEY"] ["OLLAMA_API_BASE"] { keyless: true };
    "openai" OpenAi "https://api.openai.com/v1"
        ["OPENAI_API_KEY"] ["OPENAI_BASE_URL", "OPENAI_API_BASE"] { responses: true };
    "text-completion-openai" OpenAi "https://api.openai.com/v1"
        ["OPENAI_API_KEY"] ["OPENAI_BASE_URL", "OPENAI_API_BASE"] {};
    "vertex_ai" VertexAi ""
        [] ["VERTEXAI_API_BASE", "VERTEX_API_BASE"]
        { auth: Auth::Protocol, keyless: true };
    "vertex_ai_beta" VertexAi ""
        [] ["VERTEXAI_API_BASE", "VERTEX_API_BASE"]
        { auth: Auth::Protocol, keyless: true };
    "voyage" Voyage "https://api.voyageai.com/v1"
        ["VOYAGE_API_KEY", "VOYAGE_AI_API_KEY"] ["VOYAGE_API_BASE"] {};
};

/// Those that speak OpenAI's protocol at an address of their own.
pub(super) const VENDORS: &[Provider] = vendors! {
    "abliteration" "https://api.abliteration.ai/v1"
        ["ABLITERATION_API_KEY"] ["ABLITERATION_API_BASE"] {};
    "ai21" "https://api.ai21.com/studio/v1"
        ["AI21_API_KEY"] ["AI21_API_BASE"] {};
    "ai21_chat" "https://api.ai21.com/studio/v1"
        ["AI21_API_KEY"] ["AI21_CHAT_API_BASE"] {};
    "aiand" "https://api.aiand.com/v1"
        ["AIAND_API_KEY"] ["AIAND_API_BASE"] {};
    "aihubmix" "https://aihubmix.com/v1"
        ["AIHUBMIX_API_KEY"] ["AIHUBMIX_API_BASE"] {};
    "aiml" "https://api.aimlapi.com/v1"
        ["AIML_API_KEY"] ["AIML_API_BASE"] {};
    "anyscale" "https://api.endpoints.anyscale.com/v1"
        ["ANYSCALE_API_KEY"] ["ANYSCALE_API_BASE"] {};
    "apertis" "https://api.stima.tech/v1"
        ["STIMA_API_KEY"] ["APERTIS_API_BASE"] { renames: MAX_TOKENS };
    "assemblyai" "https://llm-gateway.assemblyai.com/v1"
        ["ASSEMBLYAI_API_KEY"] ["ASSEMBLYAI_API_BASE"] {};
    "baseten" "https://inference.baseten.co/v1"
        ["BASETEN_API_KEY"] ["BASETEN_API_BASE"] {};
    "cerebras" "https://api.cerebras.ai/v1"
        ["CEREBRAS_API_KEY"] ["CEREBRAS_API_BASE"] {};
    "charity_engine" "https://api.charityengine.services/remotejobs/v2/inference"
        ["CHARITY_ENGINE_API_KEY"] ["CHARITY_ENGINE_API_BASE"] { renames: MAX_TOKENS };
    "chutes" "https://llm.chutes.ai/v1"
        ["CHUTES_API_KEY"] ["CHUTES_API_BASE"] { renames: MAX_TOKENS };
    "clf_ai_gateway" "https://api.clfaigateway.dev/v1"
        ["CLF_AI_GATEWAY_API_KEY"] ["CLF_AI_GATEWAY_API_BASE"] {};
    "codestral" "https://codestral.mistral.ai/v1"
        ["CODESTRAL_API_KEY"] ["CODESTRAL_API_BASE"] { renames: MISTRAL, stream_options: false };
    "cognition" "https://api.cognition.ai/v1"
        ["COGNITION_API_KEY"] ["COGNITION_API_BASE"] {};
    "cometapi" "https://api.cometapi.com/v1"
        ["COMETAPI_KEY"] ["COMETAPI_API_BASE"] {};
    "compactifai" "https://api.compactif.ai/v1"
        ["COMPACTIFAI_API_KEY"] ["COMPACTIFAI_API_BASE"] {};
    "coralbricks" "https://inference.coralbricks.ai/v1"
        ["CORALBRICKS_API_KEY"] ["CORALBRICKS_API_BASE"] {};
    "cortecs" "https://api.cortecs.ai/v1"
        ["CORTECS_API_KEY"] ["CORTECS_API_BASE"] {};
    "custom_openai" ""
        [] ["OPENAI_LIKE_API_BASE"] { keyless: true };
    "darkbloom" "https://api.darkbloom.dev/v1"
        ["DARKBLOOM_API_KEY"] ["DARKBLOOM_API_BASE"] { renames: MAX_TOKENS };
    "dashscope" "https://dashscope.aliyuncs.com/compatible-mode/v1"
        ["DASHSCOPE_API_KEY"] ["DASHSCOPE_API_BASE"] {};
    "deepinfra" "https://api.deepinfra.com/v1/openai"
        ["DEEPINFRA_API_KEY"] ["DEEPINFRA_API_BASE"] {};
    "deepseek" "https://api.deepseek.com/beta"
        ["DEEPSEEK_API_KEY"] ["DEEPSEEK_API_BASE"] {};
    "docker_model_runner" "http://localhost:22088/engines/llama.cpp/v1"
        ["DOCKER_MODEL_RUNNER_API_KEY"] ["DOCKER_MODEL_RUNNER_API_BASE"] { keyless: true };
    "edenai" "https://api.edenai.run/v3"
        ["EDENAI_API_KEY"] ["EDENAI_API_BASE"] {};
    "empower" "https://app.empower.dev/api/v1"
        ["EMPOWER_API_KEY"] ["EMPOWER_API_BASE"] {};
    "featherless_ai" "https://api.featherless.ai/v1"
        ["FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"] ["FEATHERLESS_AI_API_BASE"] {};
    "fireworks_ai" "https://api.fireworks.ai/inference/v1"
        ["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"] ["FIREWORKS_AI_API_BASE"] { responses: true };
    "friendliai" "https://api.friendli.ai/serverless/v1"
        ["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"] ["FRIENDLI_API_BASE"] {};
    "galadriel" "https://api.galadriel.com/v1"
        ["GALADRIEL_API_KEY"] ["GALADRIEL_API_BASE"] {};
    "github" "https://models.inference.ai.azure.com"
        ["GITHUB_API_KEY"] ["GITHUB_API_BASE"] {};
    "gmi" "https://api.gmi-serving.com/v1"
        ["GMI_API_KEY"] ["GMI_API_BASE"] {};
    "gradient_ai" "https://inference.do-ai.run"
        ["GRADIENT_AI_API_KEY"] ["GRADIENT_AI_AGENT_ENDPOINT", "GRADIENT_AI_API_BASE"] { path: V1 };
    "groq" "https://api.groq.com/openai/v1"
        ["GROQ_API_KEY"] ["GROQ_API_BASE"] { stream_options: false, responses: true };
    "helicone" "https://ai-gateway.helicone.ai"
        ["HELICONE_API_KEY"] ["HELICONE_API_BASE"] {};
    "hosted_vllm" ""
        ["HOSTED_VLLM_API_KEY"] ["HOSTED_VLLM_API_BASE"] { keyless: true, responses: true };
    "hostinger_router" "https://router.hostinger.com/v1"
        ["HOSTINGER_ROUTER_API_KEY"] ["HOSTINGER_ROUTER_API_BASE"] {};
    "huggingface" "https://router.huggingface.co/v1"
        ["HF_TOKEN", "HUGGINGFACE_API_KEY"] ["HF_API_BASE", "HUGGINGFACE_API_BASE"] {};
    "hyperbolic" "https://api.hyperbolic.xyz/v1"
        ["HYPERBOLIC_API_KEY"] ["HYPERBOLIC_API_BASE"] {};
    "inception" "https://api.inceptionlabs.ai/v1"
        ["INCEPTION_API_KEY"] ["INCEPTION_API_BASE"] {};
    "inferenceapis" "https://api.inferenceapis.com/v1"
        ["INFERENCEAPIS_API_KEY"] ["INFERENCEAPIS_API_BASE"] {};
    "kyma" "https://kymaapi.com/v1"
        ["KYMA_API_KEY"] ["KYMA_API_BASE"] {};
    "lambda_ai" "https://api.lambda.ai/v1"
        ["LAMBDA_API_KEY"] ["LAMBDA_AI_API_BASE"] {};
    "lemonade" "http://localhost:8000/api/v1"
        ["LEMONADE_API_KEY"] ["LEMONADE_API_BASE"] { keyless: true };
    "libertai" "https://api.libertai.io/v1"
        ["LIBERTAI_API_KEY"] ["LIBERTAI_API_BASE"] { renames: MAX_TOKENS };
    "litellm_proxy" ""
        ["LITELLM_PROXY_API_KEY"] ["LITELLM_PROXY_API_BASE"] { keyless: true, responses: true };
    "llamafile" "http://127.0.0.1:8080/v1"
        ["LLAMAFILE_API_KEY"] ["LLAMAFILE_API_BASE"] { keyless: true };
    "lm_studio" "http://localhost:1234/v1"
        ["LM_STUDIO_API_KEY"] ["LM_STUDIO_API_BASE"] { keyless: true, responses: true };
    "maritalk" "https://chat.maritaca.ai/api"
        ["MARITALK_API_KEY"] ["MARITALK_API_BASE"] {};
    "meta" "https://api.meta.ai/v1"
        ["META_API_KEY"] ["META_API_BASE"] {};
    "meta_llama" "https://api.llama.com/compat/v1"
        ["LLAMA_API_KEY"] ["LLAMA_API_BASE"] {};
    "minimax" "https://api.minimax.io/v1"
        ["MINIMAX_API_KEY"] ["MINIMAX_API_BASE"] {};
    "mistral" "https://api.mistral.ai/v1"
        ["MISTRAL_API_KEY"] ["MISTRAL_API_BASE", "MISTRAL_AZURE_API_BASE"] { renames: MISTRAL, stream_options: false };
    "modelscope" "https://api-inference.modelscope.cn/v1"
        ["MODELSCOPE_API_KEY"] ["MODELSCOPE_API_BASE"] {};
    "moonshot" "https://api.moonshot.ai/v1"
        ["MOONSHOT_API_KEY"] ["MOONSHOT_API_BASE"] {};
    "morph" "https://api.morphllm.com/v1"
        ["MORPH_API_KEY"] ["MORPH_API_BASE"] {};
    "nadir" "https://api.getnadir.com/v1"
        ["NADIR_API_KEY"] ["NADIR_API_BASE"] {};
    "nano-gpt" "https://nano-gpt.com/api/v1"
        ["NANOGPT_API_KEY"] ["NANOGPT_API_BASE"] { renames: MAX_TOKENS };
    "nebius" "https://api.studio.nebius.ai/v1"
        ["NEBIUS_API_KEY"] ["NEBIUS_API_BASE"] {};
    "neosantara" "https://api.neosantara.xyz/v1"
        ["NEOSANTARA_API_KEY"] ["NEOSANTARA_API_BASE"] { renames: MAX_TOKENS };
    "novita" "https://api.novita.ai/v3/openai"
        ["NOVITA_API_KEY"] ["NOVITA_API_BASE"] {};
    "nscale" "https://inference.api.nscale.com/v1"
        ["NSCALE_API_KEY"] ["NSCALE_API_BASE"] {};
    "nvidia_nim" "https://integrate.api.nvidia.com/v1"
        ["NVIDIA_NIM_API_KEY"] ["NVIDIA_NIM_API_BASE"] {};
    "openai_like" ""
        ["OPENAI_LIKE_API_KEY"] ["OPENAI_LIKE_API_BASE"] { keyless: true };
    "openinfer" "https://api.openinfer.ai/v1"
        ["OPENINFER_API_KEY"] ["OPENINFER_API_BASE"] {};
    "openrouter" "https://openrouter.ai/api/v1"
        ["OPENROUTER_API_KEY"] ["OPENROUTER_API_BASE"] { responses: true };
    "ovhcloud" "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1"
        ["OVHCLOUD_API_KEY"] ["OVHCLOUD_API_BASE"] {};
    "parasail" "https://api.parasail.io/v1"
        ["PARASAIL_API_KEY"] ["PARASAIL_API_BASE"] {};
    "perplexity" "https://api.perplexity.ai"
        ["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"] ["PERPLEXITY_API_BASE"] { renames: MAX_TOKENS };
    "pinstripes" "https://pinstripes.io/v1"
        ["PINSTRIPES_API_KEY"] ["PINSTRIPES_API_BASE"] { renames: MAX_TOKENS };
    "poe" "https://api.poe.com/v1"
        ["POE_API_KEY"] ["POE_API_BASE"] { renames: MAX_TOKENS };
    "prism" "https://api.prisminference.com/v1"
        ["PRISM_API_KEY"] ["PRISM_API_BASE"] {};
    "publicai" "https://api.publicai.co/v1"
        ["PUBLICAI_API_KEY"] ["PUBLICAI_API_BASE"] { renames: MAX_TOKENS };
    "qwen_ai_platform" "https://dashscope.aliyuncs.com/compatible-mode/v1"
        ["QWEN_AI_PLATFORM_API_KEY", "DASHSCOPE_API_KEY"] ["QWEN_AI_PLATFORM_API_BASE", "DASHSCOPE_API_BASE"] {};
    "qwencloud" "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
        ["QWENCLOUD_API_KEY", "DASHSCOPE_API_KEY"] ["QWENCLOUD_API_BASE"] {};
    "refuseless" "https://api.refuseless.com/v1"
        ["REFUSELESS_API_KEY"] ["REFUSELESS_API_BASE"] {};
    "reka" "https://api.reka.ai/v1"
        ["REKA_API_KEY"] ["REKA_API_BASE"] {};
    "sail" "https://api.sailresearch.com/v1"
        ["SAIL_API_KEY"] ["SAIL_API_BASE"] {};
    "sambanova" "https://api.sambanova.ai/v1"
        ["SAMBANOVA_API_KEY"] ["SAMBANOVA_API_BASE"] {};
    "scaleway" "https://api.scaleway.ai/v1"
        ["SCW_SECRET_KEY"] ["SCW_API_BASE"] {};
    "scx-ai" "https://api.scx.ai/v1"
        ["SCX_API_KEY"] ["SCX_API_BASE"] { renames: MAX_TOKENS };
    "streamlake" "https://vanchin.streamlake.ai/api/gateway/v1/endpoints"
        ["STREAMLAKE_API_KEY"] ["STREAMLAKE_API_BASE"] { renames: MAX_COMPLETION_TOKENS };
    "synthetic" "https://api.synthetic.new/openai/v1"
        ["SYNTHETIC_API_KEY"] ["SYNTHETIC_API_BASE"] { renames: MAX_TOKENS };
    "tencent" "https://tokenhub-intl.tencentcloudmaas.com/v1"
        ["TENCENT_API_KEY"] ["TENCENT_API_BASE"] {};
    "tensormesh" "https://serverless.tensormesh.ai/v1"
        ["TENSORMESH_INFERENCE_API_KEY"] ["TENSORMESH_INFERENCE_API_BASE", "TENSORMESH_API_BASE"] { renames: MAX_TOKENS };
    "together_ai" "https://api.together.ai/v1"
        ["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"] ["TOGETHER_AI_API_BASE"] {};
    "v0" "https://api.v0.dev/v1"
        ["V0_API_KEY"] ["V0_API_BASE"] {};
    "vercel_ai_gateway" "https://ai-gateway.vercel.sh/v1"
        ["VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"] ["VERCEL_AI_GATEWAY_API_BASE"] {};
    "vllm" ""
        ["VLLM_API_KEY"] ["VLLM_API_BASE"] { keyless: true, responses: true };
    "volcengine" "https://ark.cn-beijing.volces.com/api/v3"
        ["VOLCENGINE_API_KEY"] ["VOLCENGINE_API_BASE"] { responses: true };
    "wandb" "https://api.inference.wandb.ai/v1"
        ["WANDB_API_KEY"] ["WANDB_API_BASE"] {};
    "xai" "https://api.x.ai/v1"
        ["XAI_API_KEY"] ["XAI_API_BASE"] { responses: true };
    "xiaomi_mimo" "https://api.xiaomimimo.com/v1"
        ["XIAOMI_MIMO_API_KEY"] ["XIAOMI_MIMO_API_BASE"] { renames: MAX_TOKENS };
    "xinference" "http://127.0.0.1:9997/v1"
        ["XINFERENCE_API_KEY"] ["XINFERENCE_API_BASE"] { keyless: true };
    "zai" "https://api.z.ai/api/paas/v4"
        ["ZAI_API_KEY"] ["ZAI_API_BASE"] {};
    "zerogpu" "https://api.zerogpu.ai/v1"
        ["ZEROGPU_API_KEY"] ["ZEROGPU_API_BASE"] {};
};

/// Those that LiteLLM knows by name and the gateway does not speak: known so that an error can say
/// so instead of taking the name for a slip of the pen.
pub(super) const OTHERS: &[Provider] = others! {
    "a2a" [];
    "amazon_nova" ["AMAZON_NOVA_API_KEY"];
    "anthropic_text" ["ANTHROPIC_API_KEY"];
    "aws_polly" [];
    "bedrock_mantle" [];
    "bigmodel" [];
    "black_forest_labs" ["BFL_API_KEY"];
    "bytez" ["BYTEZ_API_KEY"];
    "chatgpt" [];
    "clarifai" ["CLARIFAI_API_KEY", "CLARIFAI_PAT"];
    "cloudflare" ["CLOUDFLARE_API_KEY"];
    "crusoe" [];
    "custom" [];
    "databricks" ["DATABRICKS_API_KEY", "DATABRICKS_TOKEN"];
    "datarobot" ["DATAROBOT_API_TOKEN"];
    "deepgram" ["DEEPGRAM_API_KEY"];
    "elevenlabs" ["ELEVENLABS_API_KEY"];
    "fal_ai" ["FAL_AI_API_KEY"];
    "gigachat" ["GIGACHAT_API_KEY"];
    "github_copilot" [];
    "heroku" ["HEROKU_API_KEY"];
    "infinity" ["INFINITY_API_KEY"];
    "langgraph" [];
    "llamagate" [];
    "manus" [];
    "milvus" [];
    "nlp_cloud" ["NLP_CLOUD_API_KEY"];
    "oci" [];
    "oobabooga" [];
    "opencode_go" [];
    "palm" ["PALM_API_KEY"];
    "petals" [];
    "pg_vector" [];
    "predibase" ["PREDIBASE_API_KEY"];
    "ragflow" [];
    "recraft" ["RECRAFT_API_KEY"];
    "replicate" ["REPLICATE_API_KEY", "REPLICATE_API_TOKEN"];
    "runwayml" ["RUNWAYML_API_SECRET"];
    "sagemaker" [];
    "sagemaker_chat" [];
    "sagemaker_nova" [];
    "sarvam" ["SARVAM_API_KEY"];
    "scaledown" [];
    "snowflake" ["SNOWFLAKE_JWT"];
    "soniox" [];
    "stability" ["STABILITY_API_KEY"];
    "text-completion-codestral" ["CODESTRAL_API_KEY"];
    "text-completion-inception" ["INCEPTION_API_KEY"];
    "topaz" ["TOPAZ_API_KEY"];
    "triton" [];
    "watsonx" ["WATSONX_APIKEY", "WATSONX_API_KEY"];
    "watsonx_text" ["WATSONX_APIKEY", "WATSONX_API_KEY"];
};
