//! Scalars of the tree → values of the plan. Each reader says what is wrong and goes on.

use std::borrow::Cow;
use std::time::Duration;

use crate::catalog;
use crate::literal::Literals;
use crate::locate::Findings;
use crate::mask;
use crate::table::{Credential, List, Piece, Provider, Secret, Setting, Text, Value, Window};
use crate::usd::Usd;
use crate::yaml::scalar;
use crate::yaml::{Content, Mark, Node};

/// The longest time that a file may give: a hundred years.
const LONGEST: f64 = 100.0 * 366.0 * 86_400.0;

/// What the readers write to.
pub(super) struct Reader<'f> {
    pub(super) findings: &'f mut Findings,
    pub(super) literals: Literals,
    /// The providers of the file's own.
    pub(super) providers: Vec<Provider>,
}

impl Reader<'_> {
    /// The provider of this name: the file's own, or the catalog's.
    pub(super) fn provider(&self, name: &str) -> Option<Cow<'static, Provider>> {
        let own = self.providers.iter().find(|own| own.name == name);
        own.map(|own| Cow::Owned(own.clone()))
            .or_else(|| catalog::provider(name).map(Cow::Borrowed))
    }

    /// Text that must be known when the table is made.
    pub(super) fn plain(&mut self, map: &Node, name: &str) -> Option<String> {
        let node = map.get(name).filter(|node| textual(node))?;
        self.plain_of(node, name)
    }

    pub(super) fn plain_of(&mut self, node: &Node, name: &str) -> Option<String> {
        match self.value_of(node)? {
            Value::Plain(text) => Some(text.into_owned()),
            Value::Env(_) | Value::Template(_) => {
                self.findings.error(
                    node.mark,
                    format!("`{name}` must be written in the file: the table is made before the environment is known"),
                    Some("write the name itself".into()),
                );
                None
            }
        }
    }

    /// Text that may refer to the environment.
    pub(super) fn value(&mut self, map: &Node, name: &str) -> Option<Value> {
        let node = map.get(name).filter(|node| textual(node))?;
        // These fields are part of the table, and a table holds no secret.
        if mask::looks_secret(&node.text) {
            self.findings.error(
                node.mark,
                format!("`{name}` holds a secret in clear"),
                Some(
                    "put the secret part into the environment and write `${NAME}` in its place"
                        .into(),
                ),
            );
            return None;
        }
        self.value_of(node)
    }

    pub(super) fn value_of(&mut self, node: &Node) -> Option<Value> {
        match Value::parse(&node.text) {
            Ok(value) => Some(value),
            Err(bad) => {
                self.findings
                    .error(node.mark, bad.what, Some(bad.help.into()));
                None
            }
        }
    }

    /// A secret: a reference, or clear text, which is kept beside the table.
    pub(super) fn secret(&mut self, map: &Node, name: &str) -> Option<Secret> {
        let node = map.get(name)?;
        self.secret_of(node, name)
    }

    pub(super) fn secret_of(&mut self, node: &Node, name: &str) -> Option<Secret> {
        if node.is_list() {
            return None;
        }
        self.findings.hide(node);
        // Service-account credentials are written as a map by some; their JSON is what counts.
        let text = if node.is_map() {
            node.to_json()
        } else {
            node.text.to_string()
        };
        if text.is_empty() {
            return None;
        }
        match if node.is_map() {
            Ok(Value::Plain(Cow::Borrowed("")))
        } else {
            Value::parse(&text)
        } {
            Ok(Value::Env(name)) => return Some(Secret::Env(name)),
            Ok(Value::Plain(_)) => {
                // What stands where a server asks for no key is no secret.
                if !harmless(&text) {
                    self.in_clear(node.mark, name);
                }
            }
            // `Token ${NAME}`: what stands before it is no secret.
            Ok(Value::Template(pieces)) if is_scheme(&pieces) => {
                return Some(Secret::Template(pieces));
            }
            Ok(Value::Template(_)) => {}
            Err(bad) => {
                self.findings
                    .error(node.mark, bad.what, Some(bad.help.into()));
                return None;
            }
        }
        let id = self.literals.add(&text);
        if id.is_none() {
            self.findings
                .error(node.mark, "too many secrets in clear in one file", None);
        }
        id.map(Secret::Literal)
    }

    pub(super) fn in_clear(&mut self, mark: Mark, name: &str) {
        let variable = variable_for(name);
        self.findings.warning(
            mark,
            format!("`{name}` is a secret in clear"),
            Some(format!(
                "put it into the environment and write `os.environ/{variable}`"
            )),
        );
    }

    /// Text that is secret by its name or its looks, or is not.
    pub(super) fn credential(&mut self, node: &Node, name: &str) -> Option<Credential> {
        if !textual(node) && !matches!(node.content, Content::Bool(_)) {
            return None;
        }
        let secret = mask::name_is_secret(name) || mask::looks_secret(&node.text);
        if secret {
            return self.secret_of(node, name).map(Credential::Secret);
        }
        self.value_of(node).map(Credential::Plain)
    }

    /// A whole number, not negative.
    pub(super) fn count(&mut self, map: &Node, name: &str) -> Option<u64> {
        let node = map.get(name)?;
        let number = self.number_of(node, name)?;
        if number.fract() != 0.0 {
            self.findings
                .error(node.mark, format!("`{name}` must be a whole number"), None);
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the reader of numbers checks the range"
        )]
        Some(number as u64)
    }

    /// A whole number that fits 32 bits.
    pub(super) fn small(&mut self, map: &Node, name: &str) -> Option<u32> {
        let number = self.count(map, name)?;
        let small = u32::try_from(number).ok();
        if small.is_none()
            && let Some(node) = map.get(name)
        {
            self.findings
                .error(node.mark, format!("`{name}` is too large"), None);
        }
        small
    }

    /// A number that is finite and not negative.
    pub(super) fn number(&mut self, map: &Node, name: &str) -> Option<f64> {
        let node = map.get(name)?;
        self.number_of(node, name)
    }

    pub(super) fn number_of(&mut self, node: &Node, name: &str) -> Option<f64> {
        let number = float_of(node)?;
        if !number.is_finite() {
            self.findings
                .error(node.mark, format!("`{name}` must be a finite number"), None);
            return None;
        }
        // Sums and products of what passes here stay finite.
        if number > 9.0e15 {
            self.findings
                .error(node.mark, format!("`{name}` is too large"), None);
            return None;
        }
        if number < 0.0 {
            self.findings
                .error(node.mark, format!("`{name}` must not be negative"), None);
            return None;
        }
        Some(number)
    }

    /// Seconds, as a number or as text such as `30s`.
    pub(super) fn seconds(&mut self, map: &Node, name: &str) -> Option<Duration> {
        let node = map.get(name)?;
        let number = match float_of(node) {
            Some(_) => self.number_of(node, name)?,
            None => return duration(&node.text),
        };
        if number > LONGEST {
            self.findings.error(
                node.mark,
                format!("`{name}` is longer than a hundred years"),
                None,
            );
            return None;
        }
        Some(Duration::from_secs_f64(number))
    }

    /// Dollars, exact to 10⁻¹².
    pub(super) fn dollars(&mut self, map: &Node, name: &str) -> Option<Usd> {
        let node = map.get(name)?;
        self.number_of(node, name)?;
        let amount = Usd::from_decimal(&node.text);
        if amount.is_none() {
            let what = format!("`{name}` is no amount that can be counted");
            self.findings.error(
                node.mark,
                what,
                Some("write a decimal such as 12.50".into()),
            );
        }
        amount
    }

    /// The window of a budget.
    pub(super) fn window(&mut self, map: &Node, name: &str) -> Option<Window> {
        let node = map.get(name)?;
        let found = window(&node.text);
        if found.is_none() && node.is_scalar() {
            self.findings.error(
                node.mark,
                format!(
                    "`{name}` is no length of time: {}",
                    mask::quoted(&node.text)
                ),
                Some("write 30s, 30m, 24h, 7d, 1w, 1mo, daily, weekly, monthly or yearly".into()),
            );
        }
        found
    }

    /// A list of texts, or one text.
    pub(super) fn words(&mut self, map: &Node, name: &str) -> Vec<String> {
        let Some(node) = map.get(name) else {
            return Vec::new();
        };
        let nodes = if node.is_list() {
            node.items()
        } else {
            std::slice::from_ref(node)
        };
        let nodes = nodes
            .iter()
            .filter(|node| node.is_scalar() && !node.is_null());
        nodes.filter_map(|node| self.plain_of(node, name)).collect()
    }

    /// Any value, as it is carried.
    pub(super) fn setting(&mut self, node: &Node, name: &str, secret: bool) -> Option<Setting> {
        Some(match &node.content {
            Content::Null => Setting::Null,
            Content::Bool(value) => Setting::Bool(*value),
            Content::Int(value) => Setting::Int(*value),
            Content::Float(value) => Setting::Float(*value),
            Content::Text => {
                if secret || mask::name_is_secret(name) || mask::looks_secret(&node.text) {
                    return self.secret_of(node, name).map(Setting::Secret);
                }
                Setting::Text(self.value_of(node)?)
            }
            Content::List(items) => Setting::List(
                items
                    .iter()
                    .filter_map(|item| self.setting(item, name, secret))
                    .collect(),
            ),
            Content::Map(entries) => {
                let mut map: Vec<(Text, Setting)> = entries
                    .iter()
                    .filter_map(|entry| {
                        let value = self.setting(&entry.value, &entry.name, secret)?;
                        Some((Cow::Owned(entry.name.to_string()), value))
                    })
                    .collect();
                map.sort_by(|a, b| a.0.cmp(&b.0));
                Setting::Map(Cow::Owned(map))
            }
        })
    }
}

/// True or false.
pub(super) fn flag(map: &Node, name: &str) -> Option<bool> {
    let node = map.get(name)?;
    match node.content {
        Content::Bool(value) => Some(value),
        Content::Text => match scalar::resolve(&node.text) {
            Content::Bool(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// The number that a scalar is or spells.
pub(super) fn float_of(node: &Node) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a number of a config is small")]
    match node.content {
        Content::Int(value) => Some(value as f64),
        Content::Float(value) => Some(value),
        Content::Text => scalar::decimal(&node.text),
        _ => None,
    }
}

/// Whether a scalar can stand for text.
pub(super) fn textual(node: &Node) -> bool {
    matches!(
        node.content,
        Content::Text | Content::Int(_) | Content::Float(_)
    )
}

/// Whether it is one word, a space and one variable.
fn is_scheme(pieces: &[Piece]) -> bool {
    let [Piece::Plain(scheme), Piece::Env(_)] = pieces else {
        return false;
    };
    let word = scheme.strip_suffix(' ').unwrap_or_default();
    !word.is_empty() && word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_alphabetic())
}

pub(super) fn text(text: impl Into<String>) -> Text {
    Cow::Owned(text.into())
}

pub(super) fn texts(words: Vec<String>) -> List<Text> {
    words.into_iter().map(Cow::Owned).collect()
}

/// `30s`, `5m`, `1h30m`, `500ms`: a length of time in words.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..]
            .find(|c: char| !c.is_ascii_alphabetic())
            .map_or(rest.len(), |length| digits + length);
        let unit = match &rest[digits..unit_end] {
            "ms" => 0.001,
            "s" | "sec" | "secs" => 1.0,
            "m" | "min" | "mins" => 60.0,
            "h" | "hr" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return None,
        };
        total += number * unit;
        rest = rest[unit_end..].trim_start();
    }
    (total <= LONGEST).then(|| Duration::from_secs_f64(total))
}

/// `30s`, `30m`, `24h`, `7d`, `1w`, `1mo`, `1y`, and the words for them.
pub(super) fn window(text: &str) -> Option<Window> {
    let text = text.trim().to_ascii_lowercase();
    match text.as_str() {
        "hourly" => return Some(Window::Seconds(3600)),
        "daily" => return Some(Window::Seconds(86_400)),
        "weekly" => return Some(Window::Seconds(7 * 86_400)),
        "monthly" => return Some(Window::Months(1)),
        "yearly" | "annually" => return Some(Window::Months(12)),
        _ => {}
    }
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u32 = text[..digits].parse().ok().filter(|number| *number > 0)?;
    let seconds = match &text[digits..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "mo" => return (number <= 1200).then_some(Window::Months(number)),
        "y" => return (number <= 100).then(|| Window::Months(number * 12)),
        _ => return None,
    };
    Some(Window::Seconds(u64::from(number) * seconds))
}

/// The name that a variable for this key would have.
fn variable_for(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .take(60)
        .collect();
    match name.as_str() {
        "MASTER_KEY" => "LITELLM_MASTER_KEY".into(),
        "CONNECTION_STRING" => "DATABASE_URL".into(),
        "API_KEY" | "KEY" | "" => "NAME".into(),
        _ => name,
    }
}

/// Words that people put where a key is asked for but none is needed.
fn harmless(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "none",
        "null",
        "empty",
        "dummy",
        "fake",
        "fake-key",
        "not-needed",
        "no-key",
        "ignored",
        "anything",
        "na",
        "n/a",
        "x",
        "test",
        "sk-fake",
        "sk-dummy",
    ];
    WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_in_words() {
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        for text in ["", "30", "s", "1x", "-1s", "1e9d", "99999999w"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    /// A3-10: `monthly` never resets daily.
    #[test]
    fn a_month_is_a_month() {
        assert_eq!(window("monthly"), Some(Window::Months(1)));
        assert_eq!(window("1mo"), Some(Window::Months(1)));
        assert_eq!(window("yearly"), Some(Window::Months(12)));
        assert_eq!(window("30d"), Some(Window::Seconds(30 * 86_400)));
        assert_eq!(window("weekly"), window("7d"));
        for text in ["", "0d", "d", "30", "1 d", "99999999999d", "fortnightly"] {
            assert_eq!(window(text), None, "{text}");
        }
    }
}
