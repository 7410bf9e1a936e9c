//! The OpenAPI document and the page that shows it, both made from the table of endpoints.

use std::fmt::Write as _;

use http::{HeaderValue, Response, header};
use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, Method};
use super::field::{Field, Need};
use super::rights::{Class, Reach};
use crate::account::Role;
use crate::ingress::body::Body;

/// The document.
pub(super) fn document(endpoints: &[Endpoint]) -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints {
        for path in endpoint.paths {
            let of_path = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
            of_path[endpoint.method.word().to_ascii_lowercase()] = operation(endpoint, path);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pointsman admin API",
            "description": "Keys, users, teams, organizations, customers, budgets, models and spend, under LiteLLM's paths and names.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Error": {"type": "object", "required": ["error"], "properties": {"error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": "string"},
                    },
                }}},
                "Invalid": {"type": "object", "required": ["detail"], "properties": {"detail": {
                    "type": "array",
                    "items": {"type": "object", "required": ["type", "loc", "msg"]},
                }}},
            },
        },
        "security": [{"key": []}],
    })
}

fn operation(endpoint: &Endpoint, path: &str) -> Value {
    let page = *endpoint.paths == ["/docs"];
    let good = if page {
        "text/html"
    } else {
        "application/json"
    };
    let error = |schema: &str| {
        let schema = format!("#/components/schemas/{schema}");
        json!({"description": schema.rsplit('/').next(), "content": {"application/json": {"schema": {"$ref": schema}}}})
    };
    let mut operation = json!({
        "summary": endpoint.summary,
        "tags": [path.trim_start_matches("/v1").trim_start_matches("/v2").split('/').nth(1)],
        "operationId": format!("{} {path}", endpoint.method.word()),
        "responses": {
            "200": {"description": "Done", "content": {good: {"schema": {}}}},
        },
    });
    if endpoint.plain.is_some() {
        operation["security"] = json!([]);
        return operation;
    }
    for status in ["400", "401", "403", "404", "413", "501", "503"] {
        operation["responses"][status] = error("Error");
    }
    operation["responses"]["422"] = error("Invalid");
    let mut parameters = Vec::new();
    let placeholder = |step: &str| Some(step.strip_prefix('{')?.strip_suffix('}')?.to_owned());
    for name in path.split('/').filter_map(placeholder) {
        parameters.push(json!({"name": name, "in": "path", "required": true,
            "schema": {"type": "string", "minLength": 1}}));
    }
    let fields = endpoint.input.iter().copied().flatten();
    if endpoint.method == Method::Get {
        parameters.extend(fields.map(|field| {
            json!({
                "name": field.name,
                "in": "query",
                "required": field.need == Need::Required,
                "schema": field.kind.schema(),
            })
        }));
    } else {
        operation["requestBody"] = body(fields);
    }
    operation["parameters"] = Value::Array(parameters);
    operation
}

fn body(fields: impl Iterator<Item = &'static Field>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let schema = field.kind.schema();
        let schema = match field.need {
            Need::Nullable => json!({"anyOf": [schema, {"type": "null"}]}),
            Need::Required | Need::NotNull => schema,
        };
        properties.insert(field.name.to_owned(), schema);
        if field.need == Need::Required {
            required.push(field.name);
        }
    }
    json!({
        "required": !required.is_empty(),
        "content": {"application/json": {"schema": {
            "type": "object",
            "properties": properties,
            "required": required,
        }}},
    })
}

/// The page: the document as HTML, without scripts or anything from elsewhere.
pub(super) fn page(endpoints: &[Endpoint]) -> Response<Body> {
    let mut html = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Pointsman admin API</title>\
         <style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
         summary{cursor:pointer;padding:.3rem 0}code{font-size:.95em}b{display:inline-block;min-width:4rem}\
         table{border-collapse:collapse}td{padding:.1rem 1rem .1rem 0;vertical-align:top}</style>\
         <h1>Pointsman admin API</h1><p>The same as <a href=/openapi.json>openapi.json</a>. \
         Calls carry a key: <code>Authorization: Bearer sk-…</code>.</p>",
    );
    for endpoint in endpoints {
        for path in endpoint.paths {
            // Writing to a text does not fail; nothing here comes from outside.
            let _ = write!(
                html,
                "<details><summary><b>{}</b> <code>{path}</code> — {}</summary><table>",
                endpoint.method.word(),
                endpoint.summary,
            );
            for field in endpoint.input.iter().copied().flatten() {
                let need = if field.need == Need::Required {
                    "required"
                } else {
                    ""
                };
                let schema = field.kind.schema().to_string();
                let schema = schema.replace('&', "&amp;").replace('<', "&lt;");
                let _ = write!(
                    html,
                    "<tr><td><code>{}</code><td>{need}<td><code>{schema}</code>",
                    field.name
                );
            }
            html.push_str("</table></details>");
        }
    }
    let mut response = Response::new(Body::whole(html));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    response
}

/// The table of rights, for the documentation.
pub(super) fn rights_markdown() -> String {
    let roles = [
        Role::ProxyAdmin,
        Role::ProxyAdminViewer,
        Role::OrgAdmin,
        Role::InternalUser,
        Role::InternalUserViewer,
    ];
    let mut text = String::from("| an endpoint that |");
    for role in roles {
        let _ = write!(text, " {} |", role.word());
    }
    text.push_str(" a key of nobody |\n|---|---|---|---|---|---|---|\n");
    for class in Class::ALL {
        let _ = write!(text, "| {} |", class.word());
        for role in roles.into_iter().map(Some).chain([None]) {
            let word = match class.reach(role) {
                Reach::All => "all",
                Reach::Own => "own",
                Reach::Nothing => "–",
            };
            let _ = write!(text, " {word} |");
        }
        text.push('\n');
    }
    text
}
