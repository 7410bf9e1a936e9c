//! Where the references of a table are resolved.

use std::borrow::Cow;
use std::fmt;

use pointsman_routes::Literals;
use pointsman_routes::table::{Credential, Routes, Secret, Value};

use super::BindFault;

/// Where references are resolved: the process's environment, then `environment_variables`.
pub(super) struct Environment<'a> {
    literals: &'a Literals,
    process: &'a dyn Fn(&str) -> Option<String>,
    file: Vec<(&'a str, String)>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(
        routes: &'a Routes,
        literals: &'a Literals,
        process: &'a dyn Fn(&str) -> Option<String>,
        faults: &mut Vec<BindFault>,
    ) -> Self {
        let mut environment = Self {
            literals,
            process,
            file: Vec::new(),
        };
        let mut file = Vec::new();
        for (name, value) in routes.environment.iter() {
            let path = format!("environment_variables.{name}");
            if let Some(value) = environment.credential(value, &path, faults) {
                file.push((&**name, value));
            }
        }
        environment.file = file;
        environment
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        let in_file = || self.file.iter().find(|(known, _)| *known == name);
        (self.process)(name)
            .filter(|value| !value.is_empty())
            .or_else(|| in_file().map(|(_, value)| value.clone()))
    }

    pub(super) fn first(&self, names: &[Cow<'static, str>]) -> Option<String> {
        names.iter().find_map(|name| self.get(name))
    }

    pub(super) fn value(
        &self,
        value: &Value,
        path: &str,
        faults: &mut Vec<BindFault>,
    ) -> Option<String> {
        let resolved = value.resolve(&|name| self.get(name));
        resolved
            .map_err(|missing| faults.push(fault(path, &missing)))
            .ok()
    }

    pub(super) fn secret(
        &self,
        secret: &Secret,
        path: &str,
        faults: &mut Vec<BindFault>,
    ) -> Option<String> {
        let resolved = secret.resolve(self.literals, &|name| self.get(name));
        resolved
            .map_err(|missing| faults.push(fault(path, &missing)))
            .ok()
    }

    /// The URL of the file, else of `DATABASE_URL`.
    pub(super) fn database_url(
        &self,
        routes: &Routes,
        faults: &mut Vec<BindFault>,
    ) -> Option<String> {
        match &routes.general.database_url {
            Some(url) => self.secret(url, "general_settings.database_url", faults),
            None => self.get("DATABASE_URL"),
        }
    }

    pub(super) fn credential(
        &self,
        credential: &Credential,
        path: &str,
        faults: &mut Vec<BindFault>,
    ) -> Option<String> {
        match credential {
            Credential::Plain(value) => self.value(value, path, faults),
            Credential::Secret(secret) => self.secret(secret, path, faults),
        }
    }
}

pub(super) fn fault(path: &str, what: &dyn fmt::Display) -> BindFault {
    BindFault {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
