//! Decides which deployment is asked.

pub mod strategy;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pointsman_routes::table::{DeploymentId, Target};
use tower::Service;

use self::strategy::{Candidate, simple_shuffle};
use crate::call::{Attempt, Call};
use crate::error::{Failure, NoDeployment};

/// Chooses a deployment for a call and hands the attempt on.
#[derive(Clone, Debug)]
pub struct Routing<S> {
    inner: S,
}

impl<S> Routing<S> {
    /// Routes to `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Arc<Call>> for Routing<S>
where
    S: Service<Attempt, Error = Failure>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Arc<Call>) -> Self::Future {
        match choose(&call, fastrand::f64()) {
            Ok(deployment) => Box::pin(self.inner.call(Attempt { call, deployment })),
            Err(failure) => Box::pin(std::future::ready(Err(failure))),
        }
    }
}

/// Chooses among the deployments that can be asked. A pure function of the call, its table and the
/// `draw`, a number from 0 up to but not including 1.
pub fn choose(call: &Call, draw: f64) -> Result<DeploymentId, Failure> {
    let group = match call.target {
        Target::Deployment(deployment) if call.live.endpoint(deployment).served => {
            return Ok(deployment);
        }
        Target::Deployment(deployment) => return Err(unserved(call, [deployment].into_iter())),
        Target::Group(group) => &call.live.routes().groups[usize::from(group.0)],
    };
    if group.members.is_empty() {
        let group = group.name.to_string();
        return Err(Failure::NoDeployment {
            group,
            why: NoDeployment::Empty,
        });
    }
    let served = group
        .members
        .iter()
        .filter(|member| call.live.endpoint(member.deployment).served);
    let first = served.clone().map(|member| member.order).min();
    let candidates = served
        .filter(|member| Some(member.order) == first)
        .map(|member| {
            let limits = &call.live.deployment(member.deployment).limits;
            Candidate {
                deployment: member.deployment,
                weight: member.weight,
                rpm: limits.rpm,
                tpm: limits.tpm,
            }
        });
    simple_shuffle(candidates, draw)
        .ok_or_else(|| unserved(call, group.members.iter().map(|member| member.deployment)))
}

fn unserved(call: &Call, deployments: impl Iterator<Item = DeploymentId>) -> Failure {
    let mut providers: Vec<_> = deployments
        .map(|id| &*call.live.deployment(id).provider.name)
        .collect();
    providers.sort_unstable();
    providers.dedup();
    Failure::NoDeployment {
        group: call.group_name().to_owned(),
        why: NoDeployment::Unserved {
            providers: providers.join(", "),
        },
    }
}
