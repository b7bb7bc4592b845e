use super::*;
use crate::compile::{Input, compile};
use crate::select::{Patterns, select};

const OLD: &str =
    "syntax = \"proto3\";\npackage shop;\nmessage User {\n  string name = 1;\n  int32 age = 2;\n}\n";

fn gate(policy: Policy, accepts: bool) -> Gate {
    Gate {
        level: Level::File,
        policy,
        accepts,
    }
}

fn compiled(text: &str) -> (Compiled, SourceFiles) {
    let sources: SourceFiles = [("api/user.proto".to_owned(), text.into())].into_iter().collect();
    let roots = roots();
    let selection = select(&sources, &Patterns::parse(&[], &[]).unwrap(), &roots).unwrap();
    let input = Input {
        sources: sources.clone(),
        roots,
        selection,
    };
    (compile(&input).unwrap(), sources)
}

fn roots() -> Vec<RepoPath> {
    vec![RepoPath::parse("api").unwrap()]
}

fn compare_with_old(new: &str, gate: Gate) -> Compared {
    let (new, sources) = compiled(new);
    let baseline = Baseline {
        name: "4f0c9ce2d6f1c2a6c9d7d55e3c6a0c1a56f2f0d1".into(),
        set: compiled(OLD).0.descriptor_set(),
    };
    compare(&new, &sources, &roots(), &baseline, gate).unwrap()
}

#[test]
fn a_finding_has_the_path_in_the_repository_and_the_line() {
    let compared = compare_with_old(
        &OLD.replace("int32 age", "string age"),
        gate(Policy::Refuse, false),
    );
    let mut text = String::new();
    write_findings(&mut text, &compared).unwrap();
    assert!(
        text.starts_with("api/user.proto:5:3: FIELD_SAME_TYPE: "),
        "{text}"
    );
    assert!(text.contains("\n5 |   string age = 2;\n  |   ^^^^^^\n"), "{text}");
    assert!(
        text.ends_with("1 breaking change since 4f0c9ce at level File\n"),
        "{text}"
    );
    let comparison = compared.to_comparison();
    let finding = &comparison.findings[0];
    assert_eq!((finding.line, finding.column), (Some(5), Some(3)));
    assert_eq!(finding.file.as_deref(), Some("api/user.proto"));
}

#[test]
fn who_is_refused_is_told_how_to_go_on() {
    let compared = compare_with_old(
        &OLD.replace("  int32 age = 2;\n", ""),
        gate(Policy::Refuse, false),
    );
    assert!(compared.is_refused());
    let error = GateError::Break {
        subject: "c0ffee".into(),
        remedy: Remedy::Annotate {
            namespace: "shop".into(),
            name: "idl".into(),
            commit: "c0ffee".into(),
        },
        compared: Box::new(compared),
    };
    let text = error.to_string();
    for part in [
        "1 breaking change since 4f0c9ce at level File",
        "kubectl annotate --overwrite --namespace shop idlrepo/idl heddle.dev/accept-breaking=c0ffee",
        "api/user.proto:3:1: FIELD_NO_DELETE: ",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn what_is_let_through_leaves_a_trailer_and_what_breaks_nothing_none() {
    let broken = OLD.replace("int32 age", "string age");
    let of = |new: &str, gate| compare_with_old(new, gate);
    let accepted = of(&broken, gate(Policy::Refuse, true));
    assert!(!accepted.is_refused() && accepted.to_comparison().accepted);
    assert!(accepted.trailer().unwrap().ends_with(", accepted"));
    let allowed = of(&broken, gate(Policy::Warn, false));
    assert!(!allowed.is_refused() && !allowed.to_comparison().accepted);
    assert!(allowed.trailer().unwrap().ends_with(", allowed by policy"));
    let compatible = of(OLD, gate(Policy::Refuse, true));
    assert_eq!(compatible.trailer(), None);
    assert!(
        !compatible.to_comparison().accepted,
        "there was nothing to accept"
    );
}

#[test]
fn the_count_is_of_all_findings_and_the_list_of_the_first() {
    let fields: String = (10..60)
        .map(|number| format!("  int32 f{number} = {number};\n"))
        .collect();
    let (old, _) = compiled(&OLD.replace("}\n", &format!("{fields}}}\n")));
    let (new, sources) = compiled(OLD);
    let baseline = Baseline {
        name: "old".into(),
        set: old.descriptor_set(),
    };
    let compared = compare(&new, &sources, &roots(), &baseline, gate(Policy::Warn, false)).unwrap();
    let comparison = compared.to_comparison();
    assert_eq!(comparison.breaking_changes, 50);
    assert_eq!(comparison.findings.len(), FINDINGS_LIMIT);
}

#[test]
fn the_way_on_is_one_that_the_reader_has() {
    let words = |remedy: Remedy| {
        let error = GateError::Baseline {
            against: "main".into(),
            remedy,
            source: Box::new(crate::stop::Stopped::BrokeOff.into()),
        };
        error.to_string()
    };
    assert!(words(Remedy::Repeat).ends_with("repeat this with --accept-breaking"));
    assert!(words(Remedy::CompareOtherwise).ends_with("name another revision or file with --against"));
}
