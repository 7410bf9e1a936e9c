//! Members of a request that no field of the one form holds.
//!
//! The caller's own provider may know them, so they go on by their names; but those that are
//! OpenAI's, a protocol that has none of the kind lacks.

use serde_json::{Map, Value};

use super::protocol::{Params, Unfit};

/// OpenAI's parameters that change the answer.
const PARAMETERS: &[&str] = &[
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "max_tool_calls",
    "modalities",
    "prediction",
    "store",
    "truncation",
    "verbosity",
    "web_search_options",
];
/// OpenAI's parameters that speak of the request and leave the answer as it is.
const REMARKS: &[&str] = &[
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "stream_options",
];

/// Calls `take` for each member that goes to a provider whose protocol is not OpenAI's.
///
/// What is OpenAI's and not among `known` is lacking; what only speaks of the request is left out
/// and noted. A null is no value.
pub fn each<'a>(
    rest: &'a Map<String, Value>,
    known: &[&str],
    params: &Params<'_>,
    dropped: &mut Vec<&'static str>,
    mut take: impl FnMut(&'a str, &'a Value),
) -> Result<(), Unfit> {
    for (name, value) in rest.iter().filter(|(_, value)| !value.is_null()) {
        let passes = known.contains(&name.as_str())
            || params.allowed.iter().any(|allowed| *allowed == **name);
        if !passes {
            if let Some(remark) = REMARKS.iter().find(|remark| **remark == name) {
                dropped.push(remark);
                continue;
            }
            if let Some(lacking) = PARAMETERS.iter().find(|parameter| **parameter == name) {
                // What is off is as good as not there.
                if *value != Value::Bool(false) {
                    params.lacks(lacking, dropped)?;
                }
                continue;
            }
        }
        take(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pass(rest: &Value, params: Params<'_>) -> Result<(Vec<String>, Vec<&'static str>), Unfit> {
        let (mut passed, mut dropped) = (Vec::new(), Vec::new());
        each(
            rest.as_object().unwrap(),
            &["audio"],
            &params,
            &mut dropped,
            |name, _| passed.push(name.to_owned()),
        )?;
        Ok((passed, dropped))
    }

    #[test]
    fn what_is_openais_alone_is_named() {
        let rest = json!({"audio": 1, "own": 2, "metadata": {}, "store": false, "x": null});
        assert_eq!(
            pass(&rest, Params::default()),
            Ok((vec!["audio".into(), "own".into()], vec!["metadata"]))
        );
        let biased = json!({"logit_bias": {"1": 2}});
        let unfit = pass(&biased, Params::default()).unwrap_err();
        assert_eq!(unfit.param.as_deref(), Some("logit_bias"));
        let drop = Params {
            drop: true,
            ..Params::default()
        };
        assert_eq!(pass(&biased, drop), Ok((vec![], vec!["logit_bias"])));
        let allowed = Params {
            allowed: &["logit_bias".into()],
            ..Params::default()
        };
        assert_eq!(
            pass(&biased, allowed),
            Ok((vec!["logit_bias".into()], vec![]))
        );
    }
}
