//! The report as text.

use std::collections::BTreeMap;
use std::fmt;

use super::{KeyReport, Report, Standing};

impl fmt::Display for Report {
    /// What was found; how many keys stand how; a line for each key, the same things of the same
    /// key on one line, with what is to know and to do below it; the worst case of each group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.diagnostics {
            writeln!(f, "{}\n", found.shown)?;
        }
        self.write_keys(f)?;
        if !self.groups.is_empty() {
            f.write_str("\n\nat worst, one request to")?;
        }
        for plan in &self.groups {
            write!(f, "\n{plan}")?;
        }
        Ok(())
    }
}

impl Report {
    fn write_keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Standing::ALL.iter().filter_map(|standing| {
            let n = self
                .keys
                .iter()
                .filter(|key| key.standing == *standing)
                .count();
            (n > 0).then(|| format!("{n} {}", standing.words()))
        });
        let counts: Vec<String> = counts.collect();
        let later = self.keys.iter().filter(|key| key.later).count();
        write!(f, "{} keys", self.keys.len())?;
        if !counts.is_empty() {
            write!(f, ": {}", counts.join(", "))?;
        }
        if later > 0 {
            write!(
                f,
                "; {later} in all wait for a feature that is still to come"
            )?;
        }
        let lines: Vec<(String, &KeyReport, Vec<String>)> = self.grouped();
        let width = lines
            .iter()
            .map(|(path, ..)| path.chars().count())
            .max()
            .unwrap_or(0)
            .min(56);
        let several = self.keys.iter().any(|key| key.file != self.keys[0].file);
        for (path, key, places) in &lines {
            let later = if key.later && key.standing != Standing::Later {
                ", later"
            } else {
                ""
            };
            write!(f, "\n{path:width$}  {}{later}  ", key.standing.words())?;
            let word = if places.len() == 1 { "line" } else { "lines" };
            write!(f, "({word} {}", places.join(", "))?;
            if several {
                write!(f, " of {}", key.file)?;
            }
            f.write_str(")")?;
            if let Some(what) = &key.what {
                write!(f, "\n    {what}")?;
            }
            if let Some(fix) = &key.fix {
                write!(f, "\n    fix: {fix}")?;
            }
        }
        Ok(())
    }

    /// Keys of which the same is to be said, with all their lines, in the order of the first.
    fn grouped(&self) -> Vec<(String, &KeyReport, Vec<String>)> {
        let mut groups: Vec<(String, &KeyReport, Vec<String>)> = Vec::new();
        let mut known = BTreeMap::new();
        for key in &self.keys {
            let path = without_positions(&key.path);
            let same = (
                path.clone(),
                &key.file,
                key.standing,
                key.later,
                &key.what,
                &key.fix,
            );
            let at = *known.entry(same).or_insert(groups.len());
            match groups.get_mut(at) {
                Some((_, _, lines)) => lines.push(key.line.to_string()),
                None => groups.push((path, key, vec![key.line.to_string()])),
            }
        }
        groups
    }
}

/// `model_list[3].model_name` as `model_list[].model_name`.
fn without_positions(path: &str) -> String {
    let mut parts = path.split('[');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('[');
        out.push_str(part.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    }
    out
}
