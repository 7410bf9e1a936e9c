//! One entry of `model_list` → a deployment.

use std::borrow::Cow;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::models;
use super::providers::{self, is_header_name};
use super::read::{Reader, flag, text, texts, textual};
use crate::catalog;
use crate::mask;
use crate::schema::{self, Hold, Kind, Section};
use crate::table::{
    Budget, Credential, Deployment, GroupId, Limits, Midstream, Mock, Protocol, Provider, Text,
    Value,
};
use crate::yaml::{Content, Entry, Mark, Node};

/// An entry that was read.
pub(super) struct Read {
    pub(super) deployment: Deployment,
    /// Where its model is written.
    pub(super) model_mark: Mark,
    /// Where its id is written, if it is.
    pub(super) id_mark: Option<Mark>,
    pub(super) allow_dimension_change: bool,
    /// `silent_model` and its place.
    pub(super) mirror: Option<(String, Mark)>,
}

/// Whether a provider sells a model of this name: it has a provider's prefix, or the catalog
/// knows it.
pub(super) fn is_provider_model(name: &str, reader: &Reader<'_>) -> bool {
    if name
        .split_once('/')
        .is_some_and(|(prefix, _)| reader.provider(prefix).is_some())
    {
        return true;
    }
    catalog::infer(name).is_some_and(|provider| catalog::find(name, &provider.name).is_some())
}

/// Reads one entry; `None` if what it lacks was said.
pub(super) fn read(
    root: &Node,
    entry: &Node,
    group: GroupId,
    reader: &mut Reader<'_>,
) -> Option<Read> {
    let own = entry.get("litellm_params")?;
    let params = &*with_credentials(root, own, reader);
    let empty = Node::empty(entry.mark);
    let info = entry.get("model_info").unwrap_or(&empty);
    let metadata = entry.get("metadata").unwrap_or(&empty);

    let mock = mock(params);
    let model_mark = params.get("model").map_or(own.mark, |node| node.mark);
    let litellm_model = reader.plain(params, "model");
    if params.get("model").is_none() {
        reader.findings.error(
            own.mark,
            "`litellm_params` without `model`",
            Some("name provider and model: `model: openai/gpt-4o`".into()),
        );
    }
    let answerer = litellm_model
        .as_deref()
        .and_then(|model| answerer(params, model, model_mark, mock.is_some(), reader));
    // Without a provider there is no deployment, but the rest of the entry is checked all the same.
    let complete = answerer.is_some();
    let (provider, model) =
        answerer.unwrap_or((Cow::Borrowed(catalog::known("openai")), String::new()));
    let provider = providers::renaming(provider, params, reader);
    let litellm_model = litellm_model.unwrap_or_default();
    let (id, id_mark) = id(entry, params, info, reader);

    let mut deployment = Deployment {
        id,
        group,
        litellm_model: text(litellm_model),
        model: text(model),
        provider,
        api_base: reader
            .value(params, "api_base")
            .or_else(|| reader.value(params, "base_url")),
        api_key: reader.secret(params, "api_key"),
        api_version: reader.value(params, "api_version"),
        organization: reader.value(params, "organization"),
        headers: Cow::Owned(headers(params, reader)),
        defaults: Cow::Owned(defaults(params, reader)),
        options: Cow::Owned(options(params, reader)),
        limits: limits(entry, params, reader),
        weight: reader.number(params, "weight"),
        order: reader.small(params, "order").unwrap_or_default(),
        tags: texts(reader.words(params, "tags")),
        tag_regex: texts(reader.words(params, "tag_regex")),
        region: reader.plain(params, "region_name").map(text),
        timeout: reader
            .seconds(params, "timeout")
            .or_else(|| reader.seconds(params, "request_timeout")),
        stream_timeout: reader.seconds(params, "stream_timeout"),
        ttft_timeout: reader.seconds(params, "ttft_timeout"),
        idle_timeout: reader.seconds(params, "stream_idle_timeout"),
        on_midstream: midstream(params, reader),
        num_retries: reader
            .small(params, "num_retries")
            .or_else(|| reader.small(params, "max_retries")),
        cooldown: reader.seconds(params, "cooldown_time"),
        budget: budget(params, reader),
        mock,
        drop_params: flag(params, "drop_params"),
        additional_drop_params: texts(reader.words(params, "additional_drop_params")),
        allowed_openai_params: texts(reader.words(params, "allowed_openai_params")),
        quota_group: reader.plain(params, "quota_group").map(text),
        capabilities: texts(reader.words(metadata, "capabilities")),
        access_groups: texts(reader.words(info, "access_groups")),
        team: reader.plain(info, "team_id").map(text),
        health_check_model: reader.plain(info, "health_check_model").map(text),
        health_check_timeout: reader.seconds(info, "health_check_timeout"),
        health_check_max_tokens: reader.small(info, "health_check_max_tokens"),
        health_check_off: flag(info, "disable_background_health_check").unwrap_or(false),
        line: entry.mark.line,
        ..Deployment::EMPTY
    };
    models::describe(&mut deployment, params, info, metadata, reader);
    if complete {
        needs_base(&deployment, params, model_mark, reader);
    }
    let mirror = params
        .get("silent_model")
        .and_then(|node| Some((reader.plain_of(node, "silent_model")?, node.mark)));
    complete.then(|| Read {
        deployment,
        model_mark,
        id_mark,
        allow_dimension_change: flag(params, "allow_dimension_change").unwrap_or(false),
        mirror,
    })
}

/// `litellm_credential_name`: what the entry itself says is stronger.
fn with_credentials<'n>(root: &Node, own: &'n Node, reader: &mut Reader<'_>) -> Cow<'n, Node> {
    let Some(node) = own.get("litellm_credential_name") else {
        return Cow::Borrowed(own);
    };
    let Some(name) = reader.plain_of(node, "litellm_credential_name") else {
        return Cow::Borrowed(own);
    };
    let list = root
        .get("credential_list")
        .map(Node::items)
        .unwrap_or_default();
    let named = |item: &&Node| {
        item.get("credential_name")
            .is_some_and(|known| *known.text == *name)
    };
    let Some(found) = list.iter().find(named) else {
        let known = list
            .iter()
            .filter_map(|item| item.get("credential_name"))
            .map(|name| &*name.text);
        let near = reader.findings.nearest(&name, known, 1);
        reader.findings.error(
            node.mark,
            format!(
                "no credentials {} in `credential_list`",
                mask::quoted(&name)
            ),
            near.first()
                .map(|near| format!("did you mean {}?", mask::quoted(near))),
        );
        return Cow::Borrowed(own);
    };
    let mut merged = own.clone();
    if let (Content::Map(entries), Some(values)) =
        (&mut merged.content, found.get("credential_values"))
    {
        for entry in values.entries() {
            if own.get(&entry.name).is_none() {
                entries.push(entry.clone());
            }
        }
    }
    Cow::Owned(merged)
}

/// Who answers, and what the model is called there.
fn answerer(
    params: &Node,
    written: &str,
    mark: Mark,
    mocked: bool,
    reader: &mut Reader<'_>,
) -> Option<(Cow<'static, Provider>, String)> {
    if let Some(custom) = params.get("custom_llm_provider") {
        let name = reader.plain_of(custom, "custom_llm_provider")?;
        let Some(provider) = reader.provider(&name) else {
            unknown_provider(&name, custom.mark, reader);
            return None;
        };
        let bare = written.strip_prefix(&format!("{name}/")).unwrap_or(written);
        return Some((provider, bare.to_owned()));
    }
    if let Some((prefix, rest)) = written.split_once('/')
        && let Some(provider) = reader.provider(prefix)
    {
        if rest.is_empty() {
            reader.findings.error(
                mark,
                format!("no model after {}", mask::quoted(written)),
                None,
            );
            return None;
        }
        return Some((provider, rest.to_owned()));
    }
    if let Some(provider) = catalog::infer(written) {
        return Some((Cow::Borrowed(provider), written.to_owned()));
    }
    if mocked {
        return Some((Cow::Borrowed(catalog::known("openai")), written.to_owned()));
    }
    if let Some((prefix, _)) = written.split_once('/') {
        unknown_provider(prefix, mark, reader);
        return None;
    }
    if written == "*" {
        reader.findings.error(
            mark,
            "a bare `*` names no provider",
            Some("write one entry per provider: `openai/*`, `anthropic/*`".into()),
        );
        return None;
    }
    let near = reader
        .findings
        .nearest(written, catalog::models().map(|model| model.name), 1);
    let help = match near.first() {
        Some(near) => format!(
            "did you mean {}? Else write the provider before it: `openai/{}`",
            mask::quoted(near),
            short(written)
        ),
        None => format!("write the provider before it: `openai/{}`", short(written)),
    };
    reader.findings.error(
        mark,
        format!("nobody is known to sell a model {}", mask::quoted(written)),
        Some(help),
    );
    None
}

fn short(name: &str) -> String {
    mask::quoted(name).trim_matches('`').to_owned()
}

fn unknown_provider(name: &str, mark: Mark, reader: &mut Reader<'_>) {
    let own: Vec<Text> = reader
        .providers
        .iter()
        .map(|own| own.name.clone())
        .collect();
    let known = catalog::providers().map(|provider| &*provider.name);
    let known = known.chain(own.iter().map(|own| &**own));
    let near = reader.findings.nearest(name, known, 3);
    let near: Vec<String> = near.into_iter().map(mask::quoted).collect();
    let help = if near.is_empty() {
        "for a server that speaks OpenAI's dialect write `openai/MODEL` and its `api_base`, or name \
         a provider of your own under `litellm_settings.custom_provider_map`"
            .to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    reader.findings.error(
        mark,
        format!("no provider {} is known", mask::quoted(name)),
        Some(help),
    );
}

/// A provider without an address of its own needs one from the file or the environment.
fn needs_base(deployment: &Deployment, params: &Node, mark: Mark, reader: &mut Reader<'_>) {
    let provider = &deployment.provider;
    let open = matches!(
        provider.protocol,
        Protocol::OpenAi | Protocol::Azure | Protocol::Custom
    );
    if open
        && deployment.mock.is_none()
        && deployment.api_base.is_none()
        && provider.base_url.is_none()
        && provider.base_env.is_empty()
        && params.get("api_base").is_none()
    {
        reader.findings.error(
            mark,
            format!("`{}` has no address of its own", provider.name),
            Some("say where it stands: `api_base: http://host:8000/v1`".into()),
        );
    }
    if provider.protocol == Protocol::Other && deployment.mock.is_none() {
        reader.findings.warning(
            mark,
            format!(
                "`{}` is known by name, but its protocol is not spoken",
                provider.name
            ),
            Some(
                "if it also speaks OpenAI's dialect, write `openai/MODEL` and its `api_base`"
                    .into(),
            ),
        );
    }
}

/// `model_info.id`, or a digest of what tells this entry from others. No secret goes into it, but
/// the name of the variable that holds one does.
fn id(entry: &Node, params: &Node, info: &Node, reader: &mut Reader<'_>) -> (Text, Option<Mark>) {
    if let Some(node) = info.get("id")
        && let Some(id) = reader.plain(info, "id")
        && !id.is_empty()
    {
        return (text(id), Some(node.mark));
    }
    let mut digest = Sha256::new();
    digest.update(entry.get("model_name").map_or("", |name| &*name.text));
    canonical(params, "", &mut digest);
    let digest = digest.finalize();
    let hex = digest[..10]
        .iter()
        .fold(String::with_capacity(20), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    (text(hex), None)
}

/// Feeds a tree to a digest, maps in the order of their keys, secrets left out.
fn canonical(node: &Node, name: &str, digest: &mut Sha256) {
    match &node.content {
        Content::Map(entries) => {
            let mut sorted: Vec<_> = entries
                .iter()
                .filter(|entry| !entry.value.is_null())
                .collect();
            sorted.sort_by(|a, b| a.name.cmp(&b.name));
            digest.update(b"{");
            for entry in sorted {
                digest.update(entry.name.as_bytes());
                digest.update(b":");
                canonical(&entry.value, &entry.name, digest);
                digest.update(b",");
            }
            digest.update(b"}");
        }
        Content::List(items) => {
            digest.update(b"[");
            for item in items {
                canonical(item, name, digest);
                digest.update(b",");
            }
            digest.update(b"]");
        }
        _ => {
            let reference = node.text.starts_with("os.environ/") || node.text.starts_with("${");
            let secret = mask::name_is_secret(name)
                || mask::looks_secret(&node.text)
                || schema::find(Section::Params, name).is_some_and(|key| key.kind == Kind::Secret);
            digest.update(if secret && !reference {
                mask::MASK
            } else {
                &*node.text
            });
        }
    }
}

fn mock(params: &Node) -> Option<Mock> {
    let node = params.get("mock_response")?;
    Some(if node.is_scalar() {
        Mock::read(text(&*node.text))
    } else {
        Mock::Text(text(node.to_json()))
    })
}

fn headers(params: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Credential)> {
    let mut headers: Vec<(Text, Credential)> = Vec::new();
    for name in ["extra_headers", "headers"] {
        for entry in params.get(name).map(Node::entries).unwrap_or_default() {
            if headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(&entry.name))
            {
                continue;
            }
            if !is_header_name(&entry.name) {
                reader.findings.error(
                    entry.mark,
                    format!(
                        "{} cannot be the name of a header",
                        mask::quoted(&entry.name)
                    ),
                    None,
                );
                continue;
            }
            if !textual(&entry.value) && !matches!(entry.value.content, Content::Bool(_)) {
                reader.findings.error(
                    entry.value.mark,
                    format!("expected text, found {}", entry.value.word()),
                    None,
                );
                continue;
            }
            if let Some(value) = reader.credential(&entry.value, &entry.name) {
                headers.push((text(&*entry.name), value));
            }
        }
    }
    headers
}

/// Request fields of the file, as JSON text: those of the table, and those that nobody knows.
fn defaults(params: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Text)> {
    let mut defaults: Vec<(Text, Text)> = Vec::new();
    for entry in params
        .entries()
        .iter()
        .filter(|entry| !entry.value.is_null())
    {
        if !is_request_field(entry) {
            continue;
        }
        if let Some(mark) = reference_in(&entry.value) {
            reader.findings.error(
                mark,
                format!(
                    "{} is a field of the request and cannot be a reference",
                    mask::quoted(&entry.name)
                ),
                Some("write its value".into()),
            );
        } else if holds_secret(&entry.value) {
            reader.findings.error(
                entry.mark,
                format!(
                    "{} is a field of the request and holds a secret in clear",
                    mask::quoted(&entry.name)
                ),
                Some("send it as a header: `extra_headers: {NAME: os.environ/NAME}`".into()),
            );
        } else {
            defaults.push((text(&*entry.name), text(entry.value.to_json())));
        }
    }
    defaults.sort_by(|a, b| a.0.cmp(&b.0));
    defaults
}

/// A field that the table calls one, or that nobody knows and that is no secret.
fn is_request_field(entry: &Entry) -> bool {
    match schema::find(Section::Params, &entry.name) {
        Some(key) => key.hold == Hold::Default,
        None => !is_unknown_secret(entry),
    }
}

/// An unknown key that is a credential by its name or looks.
fn is_unknown_secret(entry: &Entry) -> bool {
    entry.value.is_scalar()
        && (mask::name_is_secret(&entry.name) || mask::looks_secret(&entry.value.text))
}

fn reference_in(node: &Node) -> Option<Mark> {
    if node.content == Content::Text && node.text.starts_with("os.environ/") {
        return Some(node.mark);
    }
    let entries = node.entries().iter().map(|entry| &entry.value);
    node.items().iter().chain(entries).find_map(reference_in)
}

fn holds_secret(node: &Node) -> bool {
    let by_name =
        |entry: &Entry| entry.value.content == Content::Text && mask::name_is_secret(&entry.name);
    (node.content == Content::Text && mask::looks_secret(&node.text))
        || node.items().iter().any(holds_secret)
        || node
            .entries()
            .iter()
            .any(|entry| by_name(entry) || holds_secret(&entry.value))
}

/// Credentials and options of the provider's protocol.
fn options(params: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Credential)> {
    let mut options: Vec<(Text, Credential)> = Vec::new();
    for entry in params
        .entries()
        .iter()
        .filter(|entry| !entry.value.is_null())
    {
        let key = schema::find(Section::Params, &entry.name);
        let secret = match key {
            Some(key) if key.hold == Hold::Option => key.kind == Kind::Secret,
            None if is_unknown_secret(entry) => true,
            _ => continue,
        };
        let value = if secret || (entry.value.is_map() && holds_secret(&entry.value)) {
            reader
                .secret_of(&entry.value, &entry.name)
                .map(Credential::Secret)
        } else if entry.value.is_scalar() {
            reader.credential(&entry.value, &entry.name)
        } else {
            let json = text(entry.value.to_json());
            Some(Credential::Plain(Value::Plain(json)))
        };
        options.extend(value.map(|value| (text(&*entry.name), value)));
    }
    options.sort_by(|a, b| a.0.cmp(&b.0));
    options
}

fn limits(entry: &Node, params: &Node, reader: &mut Reader<'_>) -> Limits {
    Limits {
        rpm: reader
            .count(params, "rpm")
            .or_else(|| reader.count(entry, "rpm")),
        tpm: reader
            .count(params, "tpm")
            .or_else(|| reader.count(entry, "tpm")),
        max_parallel_requests: reader.small(params, "max_parallel_requests"),
    }
}

/// `max_budget` with `budget_duration`.
pub(super) fn budget(map: &Node, reader: &mut Reader<'_>) -> Option<Budget> {
    within(map, ("max_budget", "budget_duration"), reader)
}

/// An amount and its window, by these names.
pub(super) fn within(
    map: &Node,
    (amount, duration): (&str, &str),
    reader: &mut Reader<'_>,
) -> Option<Budget> {
    let window = reader.window(map, duration);
    let Some(max) = reader.dollars(map, amount) else {
        if let Some(entry) = map.entry(duration).filter(|_| map.get(amount).is_none()) {
            reader.findings.warning(
                entry.mark,
                format!("`{duration}` without `{amount}` limits nothing"),
                Some(format!("add `{amount}`, in US dollars")),
            );
        }
        return None;
    };
    Some(Budget { max, window })
}

/// `on_midstream` of the router or of an entry.
pub(super) fn midstream(map: &Node, reader: &mut Reader<'_>) -> Option<Midstream> {
    let node = map.get("on_midstream")?;
    let word = reader.plain_of(node, "on_midstream")?;
    let mut known = Midstream::WORDS.iter();
    let found = known.find(|(known, _)| *known == word);
    if found.is_none() {
        reader.findings.error(
            node.mark,
            format!("`on_midstream` knows no {}", mask::quoted(&word)),
            Some("write error, continue or restart".into()),
        );
    }
    found.map(|(_, midstream)| *midstream)
}
