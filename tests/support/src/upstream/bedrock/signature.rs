//! Checks a Signature Version 4 by AWS's description of it, with nothing of AWS's crates.

use super::super::api::Asked;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The key that the tests sign with.
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The id of the key in an `Authorization` header.
pub(super) fn key(shown: &str) -> Option<&str> {
    let (_, rest) = shown.split_once("Credential=")?;
    rest.split('/').next()
}

/// What is wrong with the signature.
pub(super) fn check(request: &Asked<'_>) -> Vec<String> {
    let header = |name: &str| {
        let value = request.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let shown = header("authorization");
    let part = |name: &str| {
        let found = shown
            .split([' ', ','])
            .find_map(|part| part.strip_prefix(name));
        found.unwrap_or_default()
    };
    let scope = part("Credential=")
        .split_once('/')
        .map_or("", |(_, scope)| scope);
    let [date, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
        return vec![format!("the scope {scope:?} of the signature")];
    };
    let names = part("SignedHeaders=");
    let mut wrong = Vec::new();
    for name in ["host", "x-amz-date", "content-type"] {
        if !names.split(';').any(|signed| signed == name) {
            wrong.push(format!("the header {name} is not signed"));
        }
    }
    if service != "bedrock" || !header("x-amz-date").starts_with(date) {
        wrong.push(format!("the scope {scope:?} of the signature"));
    }
    let path: String = request.path.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            path.push(byte.into());
        } else {
            write!(path, "%{byte:02X}").expect("memory takes it");
        }
        path
    });
    let headers = names.split(';').fold(String::new(), |mut headers, name| {
        writeln!(headers, "{name}:{}", header(name).trim()).expect("memory takes it");
        headers
    });
    let body = hex(&Sha256::digest(request.body));
    let canonical = format!("POST\n{path}\n\n{headers}\n{names}\n{body}");
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        header("x-amz-date"),
        hex(&Sha256::digest(canonical))
    );
    let secret = format!("AWS4{SECRET}");
    let key = [date, region, service, "aws4_request"]
        .into_iter()
        .fold(secret.into_bytes(), |key, step| hmac(&key, step).to_vec());
    if part("Signature=") != hex(&hmac(&key, &text)) {
        wrong.push("the signature is not right".into());
    }
    wrong
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text);
    let outer = Sha256::new().chain_update(padded(0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory takes it");
        text
    })
}
