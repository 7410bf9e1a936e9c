//! The shapes of the public protocols: data only, no decisions.

pub mod anthropic;
pub mod asked;
pub mod bedrock;
pub mod converse;
pub mod floats;
pub mod form;
pub mod gemini;
pub mod json;
pub mod limits;
pub mod lines;
pub mod openai;
pub mod recording;
pub mod route;
pub mod splice;
pub mod sse;
pub mod usage;
pub mod uuid;
pub mod write;
