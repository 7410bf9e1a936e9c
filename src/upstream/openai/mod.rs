//! Everyone who speaks OpenAI's protocol, Azure among them.
//!
//! Sources: OpenAI API reference (chat completions, completions, embeddings); Azure OpenAI REST API
//! reference. Where callers speak the same dialect, request and answer pass through: the model's
//! name is put in place, the gateway's own members are taken out, and every other byte is left. For
//! callers who speak another, [`chat`] translates.

pub mod audio;
pub mod chat;
mod embed;
pub(super) mod form;
pub mod quirks;
pub mod request;
pub mod response;
pub mod responses;
mod said;
pub mod stream;
