//! What embeddings are for: each provider has words of its own for the same few purposes.

/// A purpose in the words that providers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Something that is looked for.
    Query,
    /// Something that is to be found.
    Document,
    /// To be sorted into classes.
    Classification,
    /// To be grouped.
    Clustering,
    /// To be compared.
    Similarity,
}

impl Purpose {
    /// Reads the word of any provider: Cohere's `input_type`, Voyage's, Jina's `task`, Gemini's
    /// `taskType`.
    pub fn read(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "query" | "search_query" | "retrieval.query" | "retrieval_query" => Self::Query,
            "document" | "passage" | "search_document" | "retrieval.passage"
            | "retrieval_document" => Self::Document,
            "classification" => Self::Classification,
            "clustering" | "separation" => Self::Clustering,
            "similarity" | "semantic_similarity" | "text-matching" => Self::Similarity,
            _ => return None,
        })
    }
}
