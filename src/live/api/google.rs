//! Vertex AI as a whole API: an origin for each location, and the file's projects alone.

use std::sync::Arc;

use http::Uri;

use super::Refused;
use crate::live::endpoint::Authority;
use crate::live::google;

/// Version where a path names none.
const VERSION: &str = "v1";

/// The projects of the file.
#[derive(Default)]
pub(super) struct Places(Vec<Place>);

struct Place {
    /// The origin that the file gives, if it gives one.
    origin: Option<String>,
    project: String,
    location: String,
    authority: Authority,
}

/// What a path asks for.
struct Wanted<'a> {
    version: &'a str,
    project: Option<&'a str>,
    location: Option<&'a str>,
    /// What stands behind the location, without a slash before it.
    rest: &'a str,
}

impl Places {
    /// Adds the place of a deployment, unless something of it is wrong, which is told where the
    /// deployment is bound.
    pub(super) fn add(
        &mut self,
        option: impl Fn(&str) -> Option<String>,
        environment: impl Fn(&str) -> Option<String>,
        base: Option<String>,
    ) {
        let Ok(place) = google::place(option, environment, base) else {
            return;
        };
        let Some((origin, rest)) = place.base.split_once("/projects/") else {
            return;
        };
        let Some((project, location)) = rest.trim_end_matches('/').split_once("/locations/") else {
            return;
        };
        // Behind an origin stands a version.
        let origin = origin.rsplit_once('/').map_or(origin, |(origin, _)| origin);
        self.0.push(Place {
            origin: (origin != google::host(location)).then(|| origin.to_owned()),
            project: project.to_owned(),
            location: location.to_owned(),
            authority: Authority::Google(Arc::new(place.tokens)),
        });
    }

    /// The project that a path names, if it is one of the file's, else the file's first.
    fn of(&self, wanted: &Wanted<'_>) -> Option<&Place> {
        let named = self
            .0
            .iter()
            .find(|place| Some(&*place.project) == wanted.project);
        named.or(self.0.first())
    }

    /// What shows whose a request is.
    pub(super) fn authority(&self, rest: &str) -> &Authority {
        let place = Wanted::read(rest).and_then(|wanted| self.of(&wanted));
        place.map_or(&Authority::None, |place| &place.authority)
    }

    /// The address of a request: in the location that it names, and in a project of the file's,
    /// whatever project it names.
    pub(super) fn uri(&self, rest: &str, query: Option<&str>) -> Result<Uri, Refused> {
        let wanted = Wanted::read(rest).ok_or(Refused::Path)?;
        let place = self.of(&wanted).ok_or(Refused::Unbound)?;
        let location = wanted.location.unwrap_or(&place.location);
        let origin = match &place.origin {
            Some(origin) => origin.clone(),
            None => google::host(location),
        };
        let query = query.filter(|query| !query.is_empty());
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        let Place { project, .. } = place;
        let Wanted { version, rest, .. } = wanted;
        format!("{origin}/{version}/projects/{project}/locations/{location}/{rest}{query}")
            .parse()
            .map_err(|_| Refused::Path)
    }
}

impl<'a> Wanted<'a> {
    /// Reads `/v1/projects/P/locations/L/REST`, or `REST` alone, with a version or without.
    fn read(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let (version, path) = match path.split_once('/') {
            Some((version, rest)) if is_version(version) => (version, rest),
            _ => (VERSION, path),
        };
        let (project, location, rest) = match path.strip_prefix("projects/") {
            None => (None, None, path),
            Some(path) => {
                let (project, path) = path.split_once('/')?;
                let (location, rest) = path.strip_prefix("locations/")?.split_once('/')?;
                (Some(project), Some(location), rest)
            }
        };
        // A location becomes part of a host.
        let plain = |text: &str| {
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !text.is_empty() && text.len() <= 40 && text.bytes().all(allowed)
        };
        (location.is_none_or(plain) && !rest.is_empty()).then_some(Self {
            version,
            project,
            location,
            rest,
        })
    }
}

/// `v1`, `v1beta1`.
fn is_version(step: &str) -> bool {
    let rest = step.strip_prefix('v').unwrap_or_default();
    rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(base: Option<&str>) -> Places {
        let mut places = Places::default();
        for project in ["house", "yard"] {
            let option = |name: &str| match name {
                "vertex_project" => Some(project.to_owned()),
                "vertex_location" => Some("europe-west6".to_owned()),
                _ => None,
            };
            places.add(option, |_| None, base.map(str::to_owned));
        }
        places
    }

    fn uri(base: Option<&str>, path: &str) -> Result<String, Refused> {
        let places = places(base);
        places.uri(path, Some("alt=sse")).map(|uri| uri.to_string())
    }

    #[test]
    fn a_project_is_the_files_and_a_location_the_callers() {
        let model = "publishers/google/models/gemini-2.5-pro:generateContent";
        for (path, expected) in [
            (
                format!("/v1/projects/yard/locations/us-central1/{model}"),
                format!(
                    "https://us-central1-aiplatform.googleapis.com/v1/projects/yard/locations/us-central1/{model}"
                ),
            ),
            (
                format!("/v1beta1/projects/somebodys/locations/global/{model}"),
                format!(
                    "https://aiplatform.googleapis.com/v1beta1/projects/house/locations/global/{model}"
                ),
            ),
            (
                format!("/{model}"),
                format!(
                    "https://europe-west6-aiplatform.googleapis.com/v1/projects/house/locations/europe-west6/{model}"
                ),
            ),
        ] {
            assert_eq!(uri(None, &path), Ok(format!("{expected}?alt=sse")));
        }
        let own = uri(
            Some("http://vertex.test:1"),
            &format!("/v1/projects/a/locations/b/{model}"),
        );
        let expected =
            format!("http://vertex.test:1/v1/projects/house/locations/b/{model}?alt=sse");
        assert_eq!(own, Ok(expected));
    }

    #[test]
    fn no_location_leads_to_another_host() {
        for location in ["evil.example/", "evil.example%2f", "a@b", "", "A", "x#"] {
            let path = format!("/v1/projects/house/locations/{location}/publishers/x");
            assert_eq!(uri(None, &path), Err(Refused::Path), "{location}");
        }
        assert_eq!(uri(None, "/v1/projects/house/x"), Err(Refused::Path));
        assert_eq!(uri(None, "/v1/"), Err(Refused::Path));
        let nobody = Places::default();
        assert_eq!(nobody.uri("/v1/x", None), Err(Refused::Unbound));
    }
}
