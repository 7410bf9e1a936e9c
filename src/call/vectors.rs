//! The one form in which requests for embeddings and for a ranking pass between dialects.

use serde_json::{Map, Number, Value};

use super::Usage;

/// A request for embeddings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedRequest {
    /// What to embed, in order.
    pub inputs: Vec<EmbedInput>,
    /// The length of the vectors wanted.
    pub dimensions: Option<u64>,
    /// How the caller wants the numbers written.
    pub encoding: Encoding,
    /// What the vectors are for (`query`, `document`, …), in the caller's word.
    pub purpose: Option<String>,
    /// The caller's own user, for the provider's abuse control.
    pub user: Option<String>,
    /// Members that no other field holds, by their name in the dialect that they came in.
    pub rest: Map<String, Value>,
}

/// Something to embed.
#[derive(Clone, Debug, PartialEq)]
pub enum EmbedInput {
    /// Words.
    Text(String),
    /// Tokens of the model's vocabulary.
    Tokens(Vec<u32>),
    /// An image, as a URL or a `data:` URL.
    Image(String),
}

/// How a vector's numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As a list of numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// Embeddings, in the order of what was to be embedded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedAnswer {
    /// The provider's name of the model.
    pub model: Option<String>,
    /// One for each input.
    pub vectors: Vec<Vector>,
    /// What it took.
    pub usage: Option<Usage>,
}

/// An embedding.
#[derive(Clone, Debug, PartialEq)]
pub enum Vector {
    /// The text of a JSON list of numbers, as the provider wrote it, so that no digit is lost.
    Json(String),
    /// As numbers.
    Floats(Vec<f32>),
    /// Base64 of little-endian 32-bit floats.
    Base64(String),
}

/// A request to order documents by how well they answer a query; in Cohere's shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RerankRequest {
    /// What is looked for.
    pub query: String,
    /// Texts, or objects with a member `text` among others.
    pub documents: Vec<Value>,
    /// So many of the best.
    pub top_n: Option<u64>,
    /// Whether the documents are wanted back.
    pub return_documents: Option<bool>,
    /// The members of an object that are looked at.
    pub rank_fields: Option<Vec<String>>,
    /// Longest document, in tokens.
    pub max_tokens_per_doc: Option<u64>,
    /// Members that no other field holds.
    pub rest: Map<String, Value>,
}

/// Documents in order, the best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RerankAnswer {
    /// The provider's id, if it gives one.
    pub id: Option<String>,
    /// The places.
    pub results: Vec<Ranked>,
    /// What it took in tokens.
    pub usage: Option<Usage>,
    /// Searches that are billed, by providers that sell those.
    pub searches: Option<u64>,
}

/// A document in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Where it stood in the request.
    pub index: u64,
    /// How well it answers, 0 to 1.
    pub score: Number,
    /// The document, if the provider sends it back.
    pub document: Option<Value>,
}
