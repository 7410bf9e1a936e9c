//! Signature Version 4. Pure.
//!
//! Source: AWS's guide "AWS Signature Version 4 for API requests"; the crate is AWS's own.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderValue, Request};

use super::Unsigned;

/// Puts Bedrock's signature into a request that has this body. The headers that it has by now are
/// signed with it, and must go out as they are.
pub fn sign<B>(
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
    request: &mut Request<B>,
    body: &[u8],
) -> Result<(), Unsigned> {
    let wrong = Unsigned("The request cannot be signed.");
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("bedrock")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| wrong)?
        .into();
    let uri = request.uri().to_string();
    let headers: Option<Vec<(&str, &str)>> = request
        .headers()
        .iter()
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let signable = SignableRequest::new(
        request.method().as_str(),
        &uri,
        headers.ok_or(wrong)?.into_iter(),
        SignableBody::Bytes(body),
    )
    .map_err(|_| wrong)?;
    let signed = http_request::sign(signable, &params).map_err(|_| wrong)?;
    let (instructions, _) = signed.into_parts();
    instructions.apply_to_request_http1x(request);
    for name in ["authorization", "x-amz-security-token"] {
        if let Some(value) = request.headers_mut().get_mut(name) {
            HeaderValue::set_sensitive(value, true);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use std::time::{Duration, UNIX_EPOCH};

    /// The same request, signed by botocore 1.44.5 (`SigV4Auth` for `bedrock` in `us-east-1` at
    /// 2015-08-30T12:36:00Z).
    #[test]
    fn the_signature_is_the_one_that_aws_makes() {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            None,
            None,
            "test",
        );
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v2%3A1/converse"
            .parse()
            .unwrap();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert("content-type", json);
        let now = UNIX_EPOCH + Duration::from_mins(24_015_636);
        sign(&credentials, "us-east-1", now, &mut request, b"{\"a\":1}").unwrap();
        assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
        assert_eq!(request.headers()["authorization"], EXPECTED);
    }

    const EXPECTED: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, \
        Signature=dc7a6912d154b37525f30cd184a866f2550faaa57bce09355b583a94512397a6";
}
