//! Which events are delivered: by their types, and by an expression in CEL that is bounded in what it may cost.

use super::event::Event;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Program, Value};
use heddle_crds::sse_subscription;
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most bytes of data that an expression with a loop is evaluated for: what a loop costs grows with the product of
/// the number of elements and their sizes.
const LOOP_DATA_LIMIT: usize = 64 << 10;

/// Functions that an expression may call, besides operators.
const FUNCTIONS: [&str; 25] = [
    "contains",
    "size",
    "max",
    "min",
    "startsWith",
    "endsWith",
    "string",
    "bytes",
    "double",
    "int",
    "uint",
    "matches",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "has",
];

/// What an expression sees.
const VARIABLES: [&str; 2] = ["event", "data"];

/// Why an expression cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum InvalidFilter {
    #[error("failed to compile spec.filter.cel: {0}")]
    Compile(String),
    #[error("failed to compile spec.filter.cel: it sees event and data, and nothing called {0}")]
    Variable(String),
    #[error("failed to compile spec.filter.cel: there is no function {0}")]
    Function(String),
    #[error(
        "failed to compile spec.filter.cel: of the macros with a loop, it may use all, exists and exists_one, and not inside each other"
    )]
    Loop,
}

/// Which events are delivered.
pub(crate) struct Filter {
    /// Every type, if empty.
    types: BTreeSet<String>,
    expression: Option<Expression>,
}

struct Expression {
    program: Program,
    functions: Context<'static>,
    uses: Uses,
}

/// What an expression needs to be evaluated.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    data: bool,
    event: bool,
    a_loop: bool,
}

impl Filter {
    /// Compiles what a subscription says.
    pub(crate) fn compile(filter: Option<&sse_subscription::Filter>) -> Result<Self, InvalidFilter> {
        let text = filter.and_then(|filter| filter.cel.as_deref());
        Ok(Self {
            types: filter
                .map(|filter| filter.event_types.iter().cloned().collect())
                .unwrap_or_default(),
            expression: text.map(Expression::compile).transpose()?,
        })
    }

    /// Whether an event is to be delivered. One that the expression fails for is.
    pub(crate) fn lets_through(&self, event: &Event) -> bool {
        if !self.types.is_empty() && !self.types.contains(&*event.type_) {
            return false;
        }
        self.expression
            .as_ref()
            .is_none_or(|expression| expression.lets_through(event))
    }
}

impl Expression {
    fn compile(text: &str) -> Result<Self, InvalidFilter> {
        // The parser is generated code that was seen to panic on bad input; here it may not take the process along.
        let compiled = catch_unwind(|| Program::compile(text));
        let program = compiled
            .map_err(|_| InvalidFilter::Compile("the parser broke on it".into()))?
            .map_err(|errors| InvalidFilter::Compile(said(&errors)))?;
        let mut uses = Uses::default();
        check(program.expression(), &mut Vec::new(), false, &mut uses)?;
        Ok(Self {
            program,
            functions: Context::default(),
            uses,
        })
    }

    fn lets_through(&self, event: &Event) -> bool {
        if self.uses.a_loop && event.data.len() > LOOP_DATA_LIMIT {
            return true;
        }
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.evaluate(event)));
        !matches!(evaluated, Ok(Some(Value::Bool(false))))
    }

    fn evaluate(&self, event: &Event) -> Option<Value> {
        let mut context = self.functions.new_inner_scope();
        let text = || String::from_utf8_lossy(&event.data).into_owned();
        if self.uses.event {
            let members = HashMap::from([
                ("id".to_owned(), event.last_event_id.to_string()),
                ("type".to_owned(), event.type_.to_string()),
                ("data".to_owned(), text()),
            ]);
            context.add_variable("event", cel::to_value(members).ok()?).ok()?;
        }
        if self.uses.data {
            let data = serde_json::from_slice::<serde_json::Value>(&event.data).unwrap_or_default();
            context.add_variable("data", value(data)).ok()?;
        }
        self.program.execute(&context).ok()
    }
}

/// As CEL has it. Whole numbers are signed, as those of expressions are, which would not equal unsigned ones.
fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => truth.into(),
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        serde_json::Value::Array(items) => items.into_iter().map(value).collect::<Vec<_>>().into(),
        serde_json::Value::Object(members) => {
            let members = members.into_iter().map(|(name, member)| (name, value(member)));
            members.collect::<HashMap<_, _>>().into()
        }
    }
}

fn said(errors: &cel::ParseErrors) -> String {
    let lines: Vec<_> = errors
        .errors
        .iter()
        .map(|error| format!("line {}, column {}: {}", error.pos.0, error.pos.1, error.msg))
        .collect();
    lines.join("; ")
}

/// Refuses what would fail for every event, and what may cost too much. `names` are those of loops around this place.
fn check<'a>(
    expression: &'a IdedExpr,
    names: &mut Vec<&'a str>,
    in_loop: bool,
    uses: &mut Uses,
) -> Result<(), InvalidFilter> {
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => Ok(()),
        Expr::Ident(name) => check_name(name, names, uses),
        Expr::Select(select) => check(&select.operand, names, in_loop, uses),
        Expr::List(list) => check_all(&list.elements, names, in_loop, uses),
        Expr::Call(call) => {
            let is_operator = !call
                .func_name
                .starts_with(|first: char| first.is_ascii_alphabetic());
            if !is_operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
                return Err(InvalidFilter::Function(call.func_name.clone()));
            }
            if let Some(target) = &call.target {
                check(target, names, in_loop, uses)?;
            }
            check_all(&call.args, names, in_loop, uses)
        }
        Expr::Comprehension(comprehension) => {
            // Those that make lists begin with one.
            if in_loop || matches!(comprehension.accu_init.expr, Expr::List(_) | Expr::Map(_)) {
                return Err(InvalidFilter::Loop);
            }
            uses.a_loop = true;
            check(&comprehension.iter_range, names, in_loop, uses)?;
            let outside = names.len();
            names.push(&comprehension.iter_var);
            names.extend(comprehension.iter_var2.as_deref());
            names.push(&comprehension.accu_var);
            for part in [
                &comprehension.accu_init,
                &comprehension.loop_cond,
                &comprehension.loop_step,
                &comprehension.result,
            ] {
                check(part, names, true, uses)?;
            }
            names.truncate(outside);
            Ok(())
        }
        Expr::Map(map) => check_entries(map.entries.iter().map(|entry| &entry.expr), names, in_loop, uses),
        Expr::Struct(made) => {
            check_entries(made.entries.iter().map(|entry| &entry.expr), names, in_loop, uses)
        }
    }
}

fn check_all<'a>(
    expressions: &'a [IdedExpr],
    names: &mut Vec<&'a str>,
    in_loop: bool,
    uses: &mut Uses,
) -> Result<(), InvalidFilter> {
    expressions
        .iter()
        .try_for_each(|expression| check(expression, names, in_loop, uses))
}

fn check_entries<'a>(
    entries: impl Iterator<Item = &'a EntryExpr>,
    names: &mut Vec<&'a str>,
    in_loop: bool,
    uses: &mut Uses,
) -> Result<(), InvalidFilter> {
    for entry in entries {
        match entry {
            EntryExpr::StructField(field) => check(&field.value, names, in_loop, uses)?,
            EntryExpr::MapEntry(entry) => {
                check(&entry.key, names, in_loop, uses)?;
                check(&entry.value, names, in_loop, uses)?;
            }
        }
    }
    Ok(())
}

fn check_name(name: &str, names: &[&str], uses: &mut Uses) -> Result<(), InvalidFilter> {
    match name {
        _ if names.contains(&name) => {}
        "event" => uses.event = true,
        "data" => uses.data = true,
        _ => return Err(InvalidFilter::Variable(name.to_owned())),
    }
    debug_assert!(names.contains(&name) || VARIABLES.contains(&name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use k8s_openapi::jiff::Timestamp;
    use std::time::Instant;

    fn event(type_: &str, data: &str) -> Event {
        Event {
            id: "7".into(),
            last_event_id: "7".into(),
            type_: type_.into(),
            data: Bytes::copy_from_slice(data.as_bytes()),
            received_at: Instant::now(),
            time: Timestamp::UNIX_EPOCH,
            protobuf: None,
            traceparent: None,
        }
    }

    fn compile(types: &[&str], cel: Option<&str>) -> Result<Filter, InvalidFilter> {
        Filter::compile(Some(&sse_subscription::Filter {
            event_types: types.iter().map(|type_| (*type_).to_owned()).collect(),
            cel: cel.map(str::to_owned),
        }))
    }

    #[test]
    fn types_and_expression_both_decide() {
        let filter = compile(&["push"], Some("data.branch == 'main'")).unwrap();
        assert!(filter.lets_through(&event("push", r#"{"branch":"main"}"#)));
        assert!(!filter.lets_through(&event("push", r#"{"branch":"next"}"#)));
        assert!(!filter.lets_through(&event("tag", r#"{"branch":"main"}"#)));
        assert!(Filter::compile(None).unwrap().lets_through(&event("x", "")));
    }

    #[test]
    fn expressions_see_the_event_and_its_data() {
        for (cel, data, expected) in [
            ("event.type == 'push' && event.id == '7'", "", true),
            ("event.data.contains('needle')", "hay", false),
            ("event.data.matches('^h.y$')", "hay", true),
            ("data == null", "no json", true),
            ("has(data.a) && data.a > 1.5", r#"{"a":2.5}"#, true),
            ("has(data.a)", "{}", false),
            (
                "data.labels.exists(label, label == 'x')",
                r#"{"labels":["y","x"]}"#,
                true,
            ),
            ("data.all(n, n < 3)", "[1,2,3]", false),
            ("size(data) == 2", "[1,2]", true),
            ("data.n == 3", r#"{"n":3}"#, true),
            ("'x' in data", r#"["x"]"#, true),
        ] {
            let filter = compile(&[], Some(cel)).unwrap();
            assert_eq!(
                filter.lets_through(&event("push", data)),
                expected,
                "{cel} of {data}"
            );
        }
    }

    #[test]
    fn an_expression_that_fails_for_an_event_loses_none() {
        for (cel, data) in [
            ("data.missing == 1", "{}"),
            ("1 / data.zero > 0", r#"{"zero":0}"#),
            ("data.text", r#"{"text":"no boolean"}"#),
        ] {
            let filter = compile(&[], Some(cel)).unwrap();
            assert!(filter.lets_through(&event("push", data)), "{cel}");
        }
        let filter = compile(&[], Some("data.exists(n, n == 2)")).unwrap();
        let long = format!("[{}1]", "1,".repeat(LOOP_DATA_LIMIT));
        assert!(filter.lets_through(&event("push", &long)), "too long for a loop");
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_place() {
        for (cel, expected) in [
            ("data.", "line 1"),
            ("data.a ==", "line 1"),
            ("evnt.type == 'push'", "nothing called evnt"),
            ("lower(event.type) == 'push'", "no function lower"),
            ("data.map(x, x).size() > 0", "all, exists and exists_one"),
            ("data.all(x, data.all(y, x == y))", "not inside each other"),
            ("data.exists(x, x) && x", "nothing called x"),
            ("", "failed to compile"),
            ("\u{0}", "failed to compile"),
        ] {
            let error = compile(&[], Some(cel))
                .err()
                .unwrap_or_else(|| panic!("{cel} compiles"));
            assert!(error.to_string().contains(expected), "{cel}: {error}");
        }
    }
}
