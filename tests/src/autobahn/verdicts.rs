//! What the suite says about each agent in each case.

use super::Agent;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Verdicts by agent and case.
#[derive(Debug, Default)]
pub struct Verdicts(BTreeMap<String, BTreeMap<String, Verdict>>);

/// What an agent did in a case, in the suite's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `OK`, `NON-STRICT`, `INFORMATIONAL`, `UNIMPLEMENTED` or `FAILED`.
    pub behavior: String,
    /// The same of how the session ended.
    pub close_behavior: String,
    /// The code of the Close frame that the agent sent.
    pub close_code: Option<u64>,
    /// The text of that frame.
    pub close_reason: Option<String>,
    /// Both sides have sent a Close frame before the connection ended.
    pub is_clean: bool,
}

impl Verdicts {
    pub(super) fn read(reports: &Path, agents: &[Agent]) -> Result<Self> {
        let index = json(&reports.join("index.json"))?;
        let mut verdicts = Self::default();
        for agent in agents {
            let cases = index[agent.name]
                .as_object()
                .with_context(|| format!("the suite has no report about {}", agent.name))?;
            let of_agent = verdicts.0.entry(agent.name.to_owned()).or_default();
            for (case, summary) in cases {
                let file = summary["reportfile"].as_str().context("each case has a report")?;
                of_agent.insert(case.clone(), Verdict::of(&json(&reports.join(file))?));
            }
        }
        Ok(verdicts)
    }

    /// Those about one agent, by case.
    #[must_use]
    pub fn of(&self, agent: &str) -> BTreeMap<String, Verdict> {
        self.0.get(agent).cloned().unwrap_or_default()
    }
}

impl Verdict {
    fn of(report: &Value) -> Self {
        let text = |name: &str| report[name].as_str().map(str::to_owned);
        Self {
            behavior: text("behavior").unwrap_or_default(),
            close_behavior: text("behaviorClose").unwrap_or_default(),
            close_code: report["remoteCloseCode"].as_u64(),
            close_reason: text("remoteCloseReason"),
            is_clean: report["wasClean"].as_bool().unwrap_or_default(),
        }
    }

    /// The suite objects to nothing.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        let is_fine = |word: &str| ["OK", "NON-STRICT", "INFORMATIONAL"].contains(&word);
        is_fine(&self.behavior) && is_fine(&self.close_behavior)
    }
}

fn json(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    serde_json::from_str(&without_surrogates(&text))
        .with_context(|| format!("failed to read {}", file.display()))
}

/// Reports repeat what was sent as invalid UTF-8, in escapes that Python alone reads; nothing else has any.
fn without_surrogates(json: &str) -> String {
    let (first, rest) = json.split_once(ESCAPED_SURROGATE).unwrap_or((json, ""));
    let rest = rest.split(ESCAPED_SURROGATE);
    rest.filter_map(|part| part.get(SURROGATE_DIGITS..))
        .fold(first.to_owned(), |text, part| text + "\\ufffd" + part)
}

/// What the escape of every surrogate begins with, as Python writes it, together with ordinary characters whose loss
/// nobody here minds.
const ESCAPED_SURROGATE: &str = "\\ud";
/// Digits that follow.
const SURROGATE_DIGITS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_are_replaced_and_the_rest_stays() {
        let read: Value =
            serde_json::from_str(&without_surrogates(r#"["a\ud800b", "\udfffc", "d\u00e9"]"#)).unwrap();
        assert_eq!(read, serde_json::json!(["a\u{fffd}b", "\u{fffd}c", "dé"]));
        assert_eq!(without_surrogates("{}"), "{}");
    }
}
