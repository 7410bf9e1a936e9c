//! `/metrics`, in Prometheus's text format.

use http::{HeaderValue, Response, header};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::gauges::{self, ProviderStanding};
use crate::access::Access;
use crate::ingress::body::Body;
use crate::live::Live;
use crate::routing::Router;
use crate::spend::meter;

/// Makes the process's recorder. Fails if there is one already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix(String::new()), &meter::BUCKETS)?
        .install_recorder()?;
    meter::describe();
    Ok(handle)
}

/// The figures of now.
pub fn render(
    handle: &PrometheusHandle,
    access: &Access,
    router: &Router,
    live: &Live,
) -> Response<Body> {
    // The facade's counters are whole numbers, so dollars are recorded in a gauge that only grows.
    let mut text = handle.render().replacen(
        "# TYPE litellm_spend_metric_total gauge",
        "# TYPE litellm_spend_metric_total counter",
        1,
    );
    let providers = live.routes().router.provider_budgets.iter();
    let providers: Vec<_> = providers
        .map(|(name, budget)| ProviderStanding {
            name: name.to_string(),
            max: budget.max,
            spent: router.provider_spent(name).0,
        })
        .collect();
    text += &gauges::write(&access.overview(gauges::MOST), &providers);
    let mut response = Response::new(Body::whole(text));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
