//! Pages of other sites that call from a browser.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::Gateway;

const MODELS: &str =
    "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, mock_response: hi}\n";

/// A request as a browser sends it; gives the status and the origin that may read the answer.
async fn from_page(gateway: &Gateway, method: &str, origin: &str) -> (u16, Option<String>) {
    let client: Client<_, Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .method(method)
        .uri(gateway.url("/v1/models"))
        .header("origin", origin)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization")
        .body(Empty::new())
        .unwrap();
    let answer = client.request(request).await.unwrap();
    let headers = answer.headers().clone();
    assert_eq!(headers.get("access-control-allow-credentials"), None);
    let allowed = headers.get("access-control-allow-origin");
    if method == "OPTIONS" && allowed.is_some() {
        assert_eq!(headers["access-control-allow-headers"], "authorization");
    }
    let status = answer.status().as_u16();
    answer.into_body().collect().await.unwrap();
    (
        status,
        allowed.map(|origin| origin.to_str().unwrap().to_owned()),
    )
}

#[tokio::test]
async fn any_page_may_call_a_gateway_with_keys_and_reads_its_errors() {
    let config = format!("{MODELS}general_settings:\n  master_key: sk-master-of-the-tests\n");
    let gateway = support::gateway!().config(&config).start().await;
    let page = "https://page.test";
    assert_eq!(
        from_page(&gateway, "OPTIONS", page).await,
        (200, Some(page.to_owned()))
    );
    assert_eq!(
        from_page(&gateway, "GET", page).await,
        (401, Some(page.to_owned()))
    );
    let plain = gateway.client().get("/health/liveliness").await;
    assert_eq!(
        (
            plain.header("vary"),
            plain.header("access-control-expose-headers")
        ),
        (None, None)
    );
}

#[tokio::test]
async fn no_page_spends_from_a_gateway_without_keys() {
    let gateway = support::gateway!().config(MODELS).start().await;
    assert_eq!(
        from_page(&gateway, "OPTIONS", "https://page.test").await,
        (200, None)
    );
    assert_eq!(
        from_page(&gateway, "GET", "https://page.test").await,
        (200, None)
    );
}

#[tokio::test]
async fn the_file_says_which_pages_may_call() {
    let config = format!(
        "{MODELS}general_settings:\n  master_key: sk-master-of-the-tests\n  \
         cors_allow_origins: [\"https://ours.test/\"]\n"
    );
    let gateway = support::gateway!().config(&config).start().await;
    let ours = "https://ours.test";
    assert_eq!(
        from_page(&gateway, "OPTIONS", ours).await,
        (200, Some(ours.to_owned()))
    );
    assert_eq!(
        from_page(&gateway, "OPTIONS", "https://page.test").await,
        (200, None)
    );
}
