//! Who speaks which protocol: the gateway's own, and those that a program registers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use pointsman_routes::{Literals, Table, table};

use super::protocol::Protocol;
use super::{anthropic, bedrock, cohere, gemini, jina, ollama, openai, vertex, voyage};
use crate::live::{BindFault, Live, Registered};

/// The protocols of providers that neither the gateway nor its catalog knows, by the name that the
/// file's `custom_provider_map` gives them. Clones share them.
///
/// A table that names such a provider is bound with [`bind`](Self::bind), and asked through an
/// [`Upstream`](super::Upstream) that was [given](super::Upstream::speaking) the same providers.
/// `docs/custom-providers.md` has a whole example.
#[derive(Clone, Debug, Default)]
pub struct Providers(Arc<BTreeMap<Cow<'static, str>, Arc<dyn Protocol>>>);

impl Providers {
    /// None as yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more. It answers for the deployments whose provider has this name and, in the file,
    /// a `custom_handler`; a provider of the catalog keeps its own protocol. Of two with one name the
    /// later stays.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, protocol: Arc<dyn Protocol>) -> Self {
        Arc::make_mut(&mut self.0).insert(name.into(), protocol);
        self
    }

    /// Their names, for [`Live::bind_for`] and
    /// [`Source::read_for`](crate::live::source::Source::read_for).
    pub fn registered(&self) -> Registered {
        self.0.keys().map(Cow::as_ref).collect()
    }

    /// Binds a table that may name them, as [`Live::bind`] does one that does not. A provider with a
    /// protocol of its own that is not among them is a fault.
    pub fn bind(
        &self,
        table: Table,
        literals: &Literals,
        env: &dyn Fn(&str) -> Option<String>,
        origin: String,
    ) -> Result<Live, Vec<BindFault>> {
        Live::bind_for(&self.registered(), table, literals, env, origin)
    }

    /// What a provider speaks; `None` if nobody here speaks it.
    pub(super) fn protocol_of(&self, provider: &table::Provider) -> Option<&dyn Protocol> {
        Some(match provider.protocol {
            table::Protocol::Anthropic => &anthropic::Anthropic,
            table::Protocol::Bedrock => &bedrock::Bedrock,
            table::Protocol::Gemini => &gemini::Flavour::Api,
            table::Protocol::Cohere => &cohere::Cohere,
            table::Protocol::Ollama => &ollama::Ollama,
            table::Protocol::OpenAi | table::Protocol::Azure => &openai::chat::OpenAi,
            table::Protocol::VertexAi => &vertex::Vertex,
            table::Protocol::Voyage => &voyage::Voyage,
            table::Protocol::Jina => &jina::Jina,
            table::Protocol::Custom => &**self.0.get(&*provider.name)?,
            table::Protocol::Other => return None,
        })
    }
}
