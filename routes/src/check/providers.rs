//! `litellm_settings.custom_provider_map`: providers of the file's own.

use std::borrow::Cow;

use super::read::{Reader, flag, text, texts};
use crate::catalog;
use crate::mask;
use crate::table::{Auth, Protocol, Provider, Text};
use crate::yaml::Node;

/// Reads them. One with `custom_handler` has a protocol of its own; every other speaks OpenAI's.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Vec<Provider> {
    let map = root
        .get("litellm_settings")
        .and_then(|settings| settings.get("custom_provider_map"));
    let mut providers: Vec<Provider> = Vec::new();
    for entry in map.map(Node::items).unwrap_or_default() {
        let Some(provider) = entry.is_map().then(|| one(entry, reader)).flatten() else {
            continue;
        };
        if providers.iter().any(|known| known.name == provider.name) {
            let what = format!("the provider {} stands twice", mask::quoted(&provider.name));
            let help = Some("keep one of the entries".into());
            reader.findings.error(entry.mark, what, help);
            continue;
        }
        providers.push(provider);
    }
    providers
}

fn one(entry: &Node, reader: &mut Reader<'_>) -> Option<Provider> {
    let Some(name) = reader.plain(entry, "provider") else {
        if entry.get("provider").is_none() {
            let help = Some("give it a name: `provider: acme`".into());
            reader
                .findings
                .error(entry.mark, "an entry without `provider`", help);
        }
        return None;
    };
    let mark = entry.get("provider").map_or(entry.mark, |node| node.mark);
    if name.is_empty() || !name.bytes().all(is_of_name) {
        let help = Some("letters, digits, `-`, `_` and `.` make a name".into());
        let what = format!("{} cannot name a provider", mask::quoted(&name));
        reader.findings.error(mark, what, help);
        return None;
    }
    if catalog::provider(&name).is_some_and(|known| known.protocol != Protocol::Other) {
        let what = format!("the provider {} is there already", mask::quoted(&name));
        let help = Some("choose another name".into());
        reader.findings.error(mark, what, help);
        return None;
    }
    let custom = entry.get("custom_handler").is_some_and(|it| !it.is_null());
    let openai = catalog::known("openai_like");
    let key_header = key_header(entry, reader);
    Some(Provider {
        protocol: if custom {
            Protocol::Custom
        } else {
            openai.protocol
        },
        base_url: base(entry, reader),
        auth: key_header.map_or(Auth::Bearer, |name| Auth::Header(text(name))),
        key_env: texts(reader.words(entry, "api_key_env")),
        base_env: texts(reader.words(entry, "api_base_env")),
        renames: mappings(entry, reader).into(),
        keyless: true,
        stream_options: flag(entry, "stream_options").unwrap_or(true),
        responses: flag(entry, "responses").unwrap_or(false),
        name: text(name),
        path: Cow::Borrowed(""),
    })
}

/// What the gateway can find again in `NAME/model`.
const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn base(entry: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let url = reader.plain(entry, "base_url")?;
    if url.starts_with("http://") || url.starts_with("https://") {
        return Some(text(url.trim_end_matches('/')));
    }
    let mark = entry.get("base_url").map_or(entry.mark, |node| node.mark);
    let help = Some("write it whole: `https://api.example.com/v1`".into());
    reader
        .findings
        .error(mark, "an address begins with http:// or https://", help);
    None
}

fn key_header(entry: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.plain(entry, "api_key_header_name")?;
    if is_header_name(&name) {
        return Some(name);
    }
    let mark = entry
        .get("api_key_header_name")
        .map_or(entry.mark, |node| node.mark);
    let what = format!("{} cannot be the name of a header", mask::quoted(&name));
    reader.findings.error(mark, what, None);
    None
}

/// `param_mappings`: (ours, theirs), in the order of the file.
fn mappings(map: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Text)> {
    let entries = map.get("param_mappings").map(Node::entries);
    let mut mappings = Vec::new();
    for entry in entries.unwrap_or_default() {
        if let Some(theirs) = reader.plain_of(&entry.value, &entry.name) {
            mappings.push((text(&*entry.name), text(theirs)));
        }
    }
    mappings
}

/// A provider with the request fields that an entry of `model_list` calls otherwise.
pub(super) fn renaming(
    provider: Cow<'static, Provider>,
    params: &Node,
    reader: &mut Reader<'_>,
) -> Cow<'static, Provider> {
    let own = mappings(params, reader);
    if own.is_empty() {
        return provider;
    }
    if !matches!(provider.protocol, Protocol::OpenAi | Protocol::Azure) {
        let mark = params
            .get("param_mappings")
            .map_or(params.mark, |node| node.mark);
        let what = format!(
            "`param_mappings` has no effect: `{}` does not speak OpenAI's dialect",
            provider.name
        );
        reader.findings.warning(mark, what, None);
        return provider;
    }
    let mut renames = provider.renames.to_vec();
    renames.retain(|(ours, _)| own.iter().all(|(name, _)| name != ours));
    renames.extend(own);
    Cow::Owned(Provider {
        renames: renames.into(),
        ..provider.into_owned()
    })
}

/// Whether a header may be called so.
pub(super) fn is_header_name(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_token)
}
