//! The table as a page for people.

use std::fmt::Write;

use super::{Kind, Section, Verdict, keys_of};

/// `docs/config.md`: every key with its verdict, meaning and row of the contract.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Every key of the config file\n\n\
         <!-- Made from the table in routes/src/schema; `UPDATE=1 cargo test -p pointsman-routes \
         --test docs` writes it anew. -->\n\n\
         Pointsman reads LiteLLM's `config.yaml`. This page lists each key that it knows, what it\n\
         takes, and what becomes of it:\n\n\
         - **honoured**: does what it does in LiteLLM;\n\
         - **later**: read, checked and carried in the plan, without effect yet;\n\
         - **differs**: accepted, but means something else than in LiteLLM or than many think;\n\
         - **better**: does more than in LiteLLM;\n\
         - **ignored**: accepted without effect, for the stated reason;\n\
         - **rejected**: refused, with what to do instead.\n\n\
         The last column names the row of the compatibility contract. Any other key is an error with\n\
         the nearest known name, except under `litellm_params`, `model_info`, `metadata` and a\n\
         guardrail's `litellm_params`: there an unknown key that resembles no known one is passed on\n\
         or kept, with a note.\n\n\
         Any text or secret may be a reference: `os.environ/NAME`, `${NAME}`, or text with `${NAME}`\n\
         in it; `$${` stands for `${`. A reference is resolved at start, and a missing variable stops\n\
         the start. Numbers and switches must be written in the file.\n",
    );
    for section in Section::ALL {
        let title = match section.path() {
            "" => "Top level".to_owned(),
            path => format!("`{path}`"),
        };
        let _ = write!(out, "\n## {title}\n\n{}\n\n", section.meaning());
        out.push_str("| key | takes | verdict | meaning | row |\n|---|---|---|---|---|\n");
        for key in keys_of(*section) {
            let reason = match key.verdict {
                Verdict::Rejected(instead) => format!(" Instead: {instead}."),
                verdict => verdict
                    .reason()
                    .map(|why| format!(" ({why})"))
                    .unwrap_or_default(),
            };
            let takes = match key.kind {
                Kind::Section(inner) => format!("a map, see `{}`", inner.path()),
                Kind::Sections(inner) => format!("a list, see `{}`", inner.path()),
                kind => kind.to_string(),
            };
            let _ = writeln!(
                out,
                "| `{}` | {takes} | {} | {}{reason} | {} |",
                key.name,
                key.verdict.word(),
                key.meaning,
                key.row
            );
        }
    }
    out
}
