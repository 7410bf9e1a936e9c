//! Voyage: embeddings of words and images, rerank.
//!
//! Source: Voyage's API reference, "Text embedding models", "Multimodal embedding models",
//! "Rerankers".

use http::StatusCode;
use serde_json::{Value, json};

use super::documents;
use super::embeddings::{self, detail, read_embed, total};
use super::protocol::{Ask, Protocol, Task, Told, Unfit, Unreadable, Written};
use super::purpose::Purpose;
use crate::call::vectors::{
    EmbedAnswer, EmbedInput, EmbedRequest, Encoding, RerankAnswer, RerankRequest,
};

/// Voyage.
#[derive(Clone, Copy, Debug)]
pub struct Voyage;

impl Protocol for Voyage {
    fn path(&self, task: Task, model: &str) -> Option<String> {
        let path = match task {
            Task::Embed if is_multimodal(model) => "/multimodalembeddings",
            Task::Embed => "/embeddings",
            Task::Rerank => "/rerank",
            Task::Chat | Task::Stream | Task::CountTokens => return None,
        };
        Some(path.to_owned())
    }

    fn write_embed(&self, ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
        let (mut body, dropped) = embeddings::begun(ask, embed)?;
        let encoding = if is_multimodal(ask.model) {
            let inputs = embed.inputs.iter().map(piece);
            let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
            body.insert("inputs".into(), inputs.into());
            "output_encoding"
        } else {
            body.insert("input".into(), texts(&embed.inputs)?.into());
            "encoding_format"
        };
        if embed.encoding == Encoding::Base64 {
            body.insert(encoding.into(), "base64".into());
        }
        if let Some(dimensions) = embed.dimensions {
            body.insert("output_dimension".into(), dimensions.into());
        }
        if let Some(word) = embed.purpose.as_deref() {
            let word = match Purpose::read(word) {
                Some(Purpose::Query) => "query",
                Some(Purpose::Document) => "document",
                _ => word,
            };
            body.insert("input_type".into(), word.into());
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
        if let Some(top_n) = rerank.top_n {
            body.insert("top_k".into(), top_n.into());
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
            results: documents::ranked(&value["data"])?,
            usage: total(&value["usage"]),
            searches: None,
        })
    }

    fn told(&self, _status: StatusCode, body: &[u8]) -> Told {
        detail(body)
    }
}

fn is_multimodal(model: &str) -> bool {
    model.contains("multimodal")
}

fn texts(inputs: &[EmbedInput]) -> Result<Vec<Value>, Unfit> {
    let texts = inputs.iter().map(|input| match input {
        EmbedInput::Text(text) => Ok(text.as_str().into()),
        EmbedInput::Tokens(_) => Err(Unfit::new(
            Some("input"),
            "Voyage embeds words, not tokens.",
        )),
        EmbedInput::Image(_) => Err(Unfit::new(
            Some("input"),
            "Only Voyage's multimodal models embed images.",
        )),
    });
    texts.collect()
}

fn piece(input: &EmbedInput) -> Result<Value, Unfit> {
    let content = match input {
        EmbedInput::Text(text) => json!({"type": "text", "text": text}),
        EmbedInput::Image(url) if url.starts_with("data:") => {
            json!({"type": "image_base64", "image_base64": url})
        }
        EmbedInput::Image(url) => json!({"type": "image_url", "image_url": url}),
        EmbedInput::Tokens(_) => {
            return Err(Unfit::new(
                Some("input"),
                "Voyage embeds words, not tokens.",
            ));
        }
    };
    Ok(json!({"content": [content]}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::vectors::Vector;
    use crate::upstream::example::written;
    use crate::upstream::protocol::Params;

    fn embed(model: &str, request: &EmbedRequest) -> Result<Value, Unfit> {
        written(model, Task::Embed, Params::default(), |ask| {
            Voyage.write_embed(ask, request)
        })
    }

    #[test]
    fn words_go_with_their_purpose() {
        let mut request = EmbedRequest {
            inputs: vec![EmbedInput::Text("a".into())],
            dimensions: Some(256),
            encoding: Encoding::Base64,
            purpose: Some("search_query".into()),
            ..EmbedRequest::default()
        };
        assert_eq!(
            embed("voyage/voyage-3.5", &request),
            Ok(
                json!({"model": "voyage-3.5", "input": ["a"], "input_type": "query",
                "encoding_format": "base64", "output_dimension": 256})
            )
        );
        request.inputs.push(EmbedInput::Image("data:x".into()));
        let unfit = embed("voyage/voyage-3.5", &request).unwrap_err();
        assert_eq!(unfit.param.as_deref(), Some("input"));
    }

    #[test]
    fn images_go_to_the_multimodal_models() {
        let request = EmbedRequest {
            inputs: vec![
                EmbedInput::Text("a".into()),
                EmbedInput::Image("data:x".into()),
                EmbedInput::Image("https://x.example/a.png".into()),
            ],
            ..EmbedRequest::default()
        };
        let model = "voyage/voyage-multimodal-3";
        assert_eq!(
            embed(model, &request).unwrap()["inputs"],
            json!([
                {"content": [{"type": "text", "text": "a"}]},
                {"content": [{"type": "image_base64", "image_base64": "data:x"}]},
                {"content": [{"type": "image_url", "image_url": "https://x.example/a.png"}]},
            ])
        );
        assert_eq!(
            Voyage.path(Task::Embed, "voyage-multimodal-3").as_deref(),
            Some("/multimodalembeddings")
        );
    }

    #[test]
    fn answers_are_read_with_the_tokens_that_they_took() {
        let body =
            br#"{"object":"list","data":[{"object":"embedding","embedding":[0.10],"index":0}],
            "model":"voyage-3.5","usage":{"total_tokens":10}}"#;
        let read = read_embed(body, 1).unwrap();
        assert_eq!(read.vectors, [Vector::Json("[0.10]".into())]);
        assert_eq!(read.usage.unwrap().prompt, 10);
        assert!(read_embed(b"[]", 1).is_err());

        let body = br#"{"object":"list","data":[{"relevance_score":0.4,"index":1}],
            "usage":{"total_tokens":26}}"#;
        let read = written("voyage/rerank-2", Task::Rerank, Params::default(), |ask| {
            let read = Voyage.read_rerank(ask, body).unwrap();
            assert_eq!((read.results[0].index, read.usage.unwrap().prompt), (1, 26));
            Voyage.write_rerank(
                ask,
                &RerankRequest {
                    query: "q".into(),
                    documents: vec!["a".into(), "b".into()],
                    top_n: Some(1),
                    ..RerankRequest::default()
                },
            )
        });
        assert_eq!(
            read,
            Ok(json!({"model": "rerank-2", "query": "q", "documents": ["a", "b"], "top_k": 1}))
        );
    }

    #[test]
    fn errors_are_told_with_the_parameter_at_fault() {
        let told = detail(br#"{"detail":"Model x is not supported."}"#);
        assert_eq!(told.message.as_deref(), Some("Model x is not supported."));
        let told = detail(br#"{"detail":[{"loc":["body","input"],"msg":"field required"}]}"#);
        assert_eq!(told.param.as_deref(), Some("input"));
        assert_eq!(detail(b"<html>"), Told::default());
    }
}
