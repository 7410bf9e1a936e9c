//! `/model`: what is served.

use std::collections::BTreeMap;

use pointsman_routes::table::{Deployment, DeploymentId, GroupId, Mode, Routes};
use pointsman_routes::usd::Usd;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::{Answer, Ask};
use crate::live::Live;

fn dollars(amount: Option<Usd>) -> Value {
    json!(amount.and_then(|amount| amount.to_string().parse::<f64>().ok()))
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Chat => "chat",
        Mode::Completion => "completion",
        Mode::Embedding => "embedding",
        Mode::ImageGeneration => "image_generation",
        Mode::ImageEdit => "image_edit",
        Mode::AudioSpeech => "audio_speech",
        Mode::AudioTranscription => "audio_transcription",
        Mode::Moderation => "moderation",
        Mode::Rerank => "rerank",
        Mode::Responses => "responses",
        Mode::Realtime => "realtime",
        Mode::Search => "search",
        Mode::Ocr => "ocr",
        Mode::VideoGeneration => "video_generation",
        Mode::VectorStore => "vector_store",
        Mode::Batch => "batch",
    }
}

/// A deployment without its secrets.
fn show(live: &Live, at: u16, deployment: &Deployment, added: bool) -> Value {
    let group = &live.routes().groups[usize::from(deployment.group.0)].name;
    let facts = &deployment.facts;
    let mut info = json!({
        "id": deployment.id,
        "db_model": added,
        "key": deployment.catalog_name,
        "mode": facts.mode.map(mode),
        "max_tokens": facts.max_output_tokens.or(facts.max_input_tokens),
        "max_input_tokens": facts.max_input_tokens,
        "max_output_tokens": facts.max_output_tokens,
        "input_cost_per_token": dollars(deployment.price.input),
        "output_cost_per_token": dollars(deployment.price.output),
        "cache_read_input_token_cost": dollars(deployment.price.cache_read),
        "litellm_provider": deployment.provider.name,
    });
    for word in facts.capabilities.words() {
        info[format!("supports_{word}")] = json!(true);
    }
    let api_base = live.endpoint(DeploymentId(at)).names.api_base.to_str().ok();
    let mut params = json!({"model": deployment.litellm_model, "api_base": api_base});
    for (name, limit) in [
        ("rpm", deployment.limits.rpm),
        ("tpm", deployment.limits.tpm),
    ] {
        if let Some(limit) = limit {
            params[name] = json!(limit);
        }
    }
    json!({"model_name": group, "litellm_params": params, "model_info": info})
}

pub(super) fn shown(
    live: &Live,
    wanted: impl Fn(&Deployment) -> bool,
    added: &[String],
) -> Vec<Value> {
    let deployments = live.routes().deployments.iter().zip(0..);
    deployments
        .filter(|(deployment, _)| wanted(deployment))
        .map(|(deployment, at)| {
            let added = added.iter().any(|id| *id == deployment.id);
            show(live, at, deployment, added)
        })
        .collect()
}

async fn added(ask: &Ask) -> Result<Vec<String>, Refusal> {
    Ok(ask
        .store
        .models()
        .await?
        .into_iter()
        .map(|model| model.id)
        .collect())
}

/// `GET /model/info`, with and without `/v1`.
pub(super) async fn info(ask: Ask) -> Answer {
    let live = ask.office.live.load();
    let id = ask.form.text("litellm_model_id");
    let wanted = |deployment: &Deployment| {
        id.is_none_or(|id| deployment.id == id) && open(&ask, &live, deployment)
    };
    let found = shown(&live, wanted, &added(&ask).await?);
    if let Some(id) = id
        && found.is_empty()
    {
        return Err(Refusal::unknown(&format!(
            "Model id = {id} not found on litellm proxy"
        )));
    }
    Ok(json!({"data": found}))
}

/// `GET /v2/model/info`.
pub(super) async fn info_paged(ask: Ask) -> Answer {
    let live = ask.office.live.load();
    let page = ask.form.count("page").unwrap_or(1).max(1);
    let size = ask.form.count("size").unwrap_or(50).clamp(1, 1_000);
    let (id, name) = (ask.form.text("modelId"), ask.form.text("model"));
    let wanted = |deployment: &Deployment| {
        let group = &live.routes().groups[usize::from(deployment.group.0)].name;
        id.is_none_or(|id| deployment.id == id)
            && name.is_none_or(|name| *group == name)
            && open(&ask, &live, deployment)
    };
    let found = shown(&live, wanted, &added(&ask).await?);
    let total = found.len() as u64;
    let skipped =
        usize::try_from(page.saturating_sub(1).saturating_mul(size)).unwrap_or(usize::MAX);
    let size_of = usize::try_from(size).unwrap_or(usize::MAX);
    Ok(json!({
        "data": found.into_iter().skip(skipped).take(size_of).collect::<Vec<_>>(),
        "total_count": total,
        "current_page": page,
        "size": size,
        "total_pages": total.div_ceil(size),
    }))
}

/// `GET /model_group/info`.
pub(super) async fn groups(ask: Ask) -> Answer {
    let live = ask.office.live.load();
    let wanted = ask.form.text("model_group");
    let routes = live.routes();
    let groups = routes.groups.iter().zip(0..);
    let groups = groups
        .map(|(group, at)| (&*group.name, at))
        .filter(|(name, _)| !name.contains('*'));
    // A pattern is shown as the models that it is known to stand for.
    let known = live.wildcards().iter();
    let known = known.map(|known| (&*known.name, known.group.0));
    let shown = groups
        .chain(known)
        .filter(|(name, at)| {
            wanted.is_none_or(|wanted| *name == wanted) && ask.may_use(&live, name, GroupId(*at))
        })
        .map(|(name, at)| show_group(routes, name, at));
    Ok(json!({"data": shown.collect::<Vec<_>>()}))
}

/// Whether the caller may ask for the group of a deployment.
fn open(ask: &Ask, live: &Live, deployment: &Deployment) -> bool {
    let group = &live.routes().groups[usize::from(deployment.group.0)].name;
    ask.may_use(live, group, deployment.group)
}

fn show_group(routes: &Routes, name: &str, at: u16) -> Value {
    let members: Vec<&Deployment> = routes
        .deployments
        .iter()
        .filter(|deployment| deployment.group.0 == at)
        .collect();
    let most =
        |of: fn(&Deployment) -> Option<u64>| members.iter().filter_map(|member| of(member)).max();
    let dearest = |of: fn(&Deployment) -> Option<Usd>| {
        dollars(members.iter().filter_map(|member| of(member)).max())
    };
    let mut providers: Vec<&str> = members
        .iter()
        .map(|member| &*member.provider.name)
        .collect();
    providers.sort_unstable();
    providers.dedup();
    let sum = |of: fn(&Deployment) -> Option<u64>| -> Option<u64> {
        members
            .iter()
            .map(|member| of(member))
            .try_fold(0_u64, |sum, limit| Some(sum.saturating_add(limit?)))
    };
    let mut shown = Map::new();
    for (word, value) in [
        ("model_group", json!(name)),
        ("providers", json!(providers)),
        (
            "mode",
            json!(
                members
                    .iter()
                    .find_map(|member| member.facts.mode)
                    .map(mode)
            ),
        ),
        (
            "max_input_tokens",
            json!(most(|member| member.facts.max_input_tokens)),
        ),
        (
            "max_output_tokens",
            json!(most(|member| member.facts.max_output_tokens)),
        ),
        ("input_cost_per_token", dearest(|member| member.price.input)),
        (
            "output_cost_per_token",
            dearest(|member| member.price.output),
        ),
        ("rpm", json!(sum(|member| member.limits.rpm))),
        ("tpm", json!(sum(|member| member.limits.tpm))),
    ] {
        shown.insert(word.to_owned(), value);
    }
    let mut supports: BTreeMap<&str, bool> = BTreeMap::new();
    for member in &members {
        for word in member.facts.capabilities.words() {
            supports.insert(word, true);
        }
    }
    for (word, has) in supports {
        shown.insert(format!("supports_{word}"), json!(has));
    }
    Value::Object(shown)
}
