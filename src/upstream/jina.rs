//! Jina: embeddings of words and images, rerank.
//!
//! Source: Jina's API reference, "Embeddings" and "Reranker".

use http::StatusCode;
use serde_json::{Value, json};

use super::documents;
use super::embeddings::{self, detail, read_embed, total};
use super::protocol::{Ask, Protocol, Task, Told, Unfit, Unreadable, Written};
use super::purpose::Purpose;
use crate::call::vectors::{
    EmbedAnswer, EmbedInput, EmbedRequest, Encoding, RerankAnswer, RerankRequest,
};

/// Jina.
#[derive(Clone, Copy, Debug)]
pub struct Jina;

impl Protocol for Jina {
    fn path(&self, task: Task, _model: &str) -> Option<String> {
        let path = match task {
            Task::Embed => "/embeddings",
            Task::Rerank => "/rerank",
            Task::Chat | Task::Stream | Task::CountTokens => return None,
        };
        Some(path.to_owned())
    }

    fn write_embed(&self, ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
        let (mut body, dropped) = embeddings::begun(ask, embed)?;
        body.insert("input".into(), inputs(&embed.inputs)?.into());
        if embed.encoding == Encoding::Base64 {
            body.insert("embedding_type".into(), "base64".into());
        }
        if let Some(dimensions) = embed.dimensions {
            body.insert("dimensions".into(), dimensions.into());
        }
        if let Some(word) = embed.purpose.as_deref() {
            let task = match Purpose::read(word) {
                Some(Purpose::Query) => "retrieval.query",
                Some(Purpose::Document) => "retrieval.passage",
                Some(Purpose::Classification) => "classification",
                Some(Purpose::Clustering) => "separation",
                Some(Purpose::Similarity) => "text-matching",
                None => word,
            };
            body.insert("task".into(), task.into());
        }
        Ok(Written {
            body: Value::Object(body).to_string().into(),
            dropped,
            ..Written::default()
        })
    }

    fn read_embed(
        &self,
        _ask: &Ask<'_>,
        body: &[u8],
        asked: usize,
    ) -> Result<EmbedAnswer, Unreadable> {
        read_embed(body, asked)
    }

    fn write_rerank(&self, ask: &Ask<'_>, rerank: &RerankRequest) -> Result<Written, Unfit> {
        let (mut body, mut dropped) = documents::to_rank(ask, rerank)?;
        // Jina sends the documents back unless told otherwise; the gateway has them.
        body.insert("return_documents".into(), false.into());
        if let Some(top_n) = rerank.top_n {
            body.insert("top_n".into(), top_n.into());
        }
        if rerank.max_tokens_per_doc.is_some() {
            ask.params.lacks("max_tokens_per_doc", &mut dropped)?;
        }
        Ok(Written {
            body: Value::Object(body).to_string().into(),
            dropped,
            ..Written::default()
        })
    }

    fn read_rerank(&self, _ask: &Ask<'_>, body: &[u8]) -> Result<RerankAnswer, Unreadable> {
        let value: Value =
            serde_json::from_slice(body).map_err(|_| Unreadable::new("It is no JSON."))?;
        Ok(RerankAnswer {
            id: None,
            results: documents::ranked(&value["results"])?,
            usage: total(&value["usage"]),
            searches: None,
        })
    }

    fn told(&self, _status: StatusCode, body: &[u8]) -> Told {
        detail(body)
    }
}

/// Words as strings; with an image among them, each is an object, since Jina takes no mixture.
fn inputs(inputs: &[EmbedInput]) -> Result<Vec<Value>, Unfit> {
    let mixed = inputs
        .iter()
        .any(|input| matches!(input, EmbedInput::Image(_)));
    let written = inputs.iter().map(|input| match input {
        EmbedInput::Text(text) if mixed => Ok(json!({"text": text})),
        EmbedInput::Text(text) => Ok(text.as_str().into()),
        EmbedInput::Image(url) => {
            // By URL, or as the bare base64.
            let image = match url.strip_prefix("data:") {
                Some(data) => data.split_once(',').map_or("", |(_, data)| data),
                None => url,
            };
            Ok(json!({"image": image}))
        }
        EmbedInput::Tokens(_) => Err(Unfit::new(Some("input"), "Jina embeds words, not tokens.")),
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::example::written;
    use crate::upstream::protocol::Params;

    #[test]
    fn words_and_images_go_as_jina_knows_them() {
        let mut request = EmbedRequest {
            inputs: vec![EmbedInput::Text("a".into())],
            dimensions: Some(64),
            encoding: Encoding::Base64,
            purpose: Some("document".into()),
            ..EmbedRequest::default()
        };
        let embed = |request: &EmbedRequest| {
            written(
                "jina_ai/jina-embeddings-v4",
                Task::Embed,
                Params::default(),
                |ask| Jina.write_embed(ask, request),
            )
        };
        assert_eq!(
            embed(&request),
            Ok(
                json!({"model": "jina-embeddings-v4", "input": ["a"], "dimensions": 64,
                "embedding_type": "base64", "task": "retrieval.passage"})
            )
        );
        let image = EmbedInput::Image("data:image/png;base64,AAAA".into());
        request.inputs.push(image);
        assert_eq!(
            embed(&request).unwrap()["input"],
            json!([{"text": "a"}, {"image": "AAAA"}])
        );
        request.inputs.push(EmbedInput::Tokens(vec![1]));
        assert!(embed(&request).is_err());
    }

    #[test]
    fn a_ranking_is_asked_for_and_read() {
        let request = RerankRequest {
            query: "q".into(),
            documents: vec!["a".into()],
            return_documents: Some(true),
            ..RerankRequest::default()
        };
        let body = br#"{"model":"m","usage":{"total_tokens":5,"prompt_tokens":5},
            "results":[{"index":0,"relevance_score":0.5}]}"#;
        let model = "jina_ai/jina-reranker-v2-base-multilingual";
        let asked = written(model, Task::Rerank, Params::default(), |ask| {
            let read = Jina.read_rerank(ask, body).unwrap();
            assert_eq!(read.usage.unwrap().prompt, 5);
            assert!(Jina.read_rerank(ask, b"{}").is_err());
            Jina.write_rerank(ask, &request)
        });
        assert_eq!(
            asked,
            Ok(
                json!({"model": "jina-reranker-v2-base-multilingual", "query": "q",
                "documents": ["a"], "return_documents": false})
            )
        );
    }
}
