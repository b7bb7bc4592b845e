//! The breaking-change rules against `buf breaking`, finding by finding: on generated schemas and on public IDL.

mod edit;
mod mutant;
mod oracle;
mod pair;
mod real;

use anyhow::Result;
use heddle_dynamic_protobuf::breaking::{Level, Rule, check};
use heddle_dynamic_protobuf::descriptor::FileDescriptorSet;
use heddle_tests::public_idl::{Idl, Release};
use mutant::Mutant;
use oracle::Buf;
use pair::Pair;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// How many mutants are tried; about one in two compiles.
const CANDIDATES: u64 = 1_200;
/// How many mutants there must be that compile.
const LEAST_MUTANTS: usize = 500;
/// For how many mutants each level is asked for on its own.
const MUTANTS_BY_LEVEL: u64 = 60;
/// How many descriptor sets are damaged.
const DAMAGED_SETS: usize = 2_000;

#[test]
fn generated_changes_break_the_rules_that_buf_says_they_break_and_in_the_same_places() -> Result<()> {
    let buf = Buf::ensure()?;
    let mut mutants: Vec<Mutant> = (0..CANDIDATES).map(Mutant::number).collect();
    let pair = Pair::of_mutants(&buf, &mut mutants)?;
    assert!(
        mutants.len() >= LEAST_MUTANTS,
        "only {} mutants compile",
        mutants.len()
    );
    let broken = pair.assert_agreement(&buf, &mutants)?;
    let never: Vec<&Rule> = Rule::ALL
        .iter()
        .filter(|rule| !broken.contains(rule.as_str()))
        .collect();
    assert!(never.is_empty(), "no mutant breaks {never:?}");
    assert_each_level_is_stricter_than_the_one_before(&pair)
}

fn assert_each_level_is_stricter_than_the_one_before(pair: &Pair) -> Result<()> {
    for (mild, strict) in Level::ALL.into_iter().zip(Level::ALL.into_iter().skip(1)) {
        let (mildly, strictly) = (pair.broken_at(mild)?, pair.broken_at(strict)?);
        let passed: Vec<&String> = mildly.difference(&strictly).collect();
        assert!(
            passed.is_empty(),
            "{strict} passes what {mild} does not: {passed:?}"
        );
    }
    Ok(())
}

#[test]
fn each_level_alone_finds_what_buf_finds_at_it() -> Result<()> {
    let buf = Buf::ensure()?;
    let mut mutants: Vec<Mutant> = (0..MUTANTS_BY_LEVEL).map(Mutant::number).collect();
    let pair = Pair::of_mutants(&buf, &mut mutants)?;
    for level in Level::ALL {
        let theirs = buf.breaking(&pair.against, &pair.new, &[level])?;
        assert_eq!(pair.differences(level, &theirs)?, [""; 0], "at {level}");
    }
    Ok(())
}

#[test]
fn the_rules_of_each_level_are_bufs() -> Result<()> {
    let theirs = Buf::ensure()?.rules()?;
    let named: BTreeSet<&str> = Level::ALL.iter().map(|level| level.as_str()).collect();
    let theirs: BTreeMap<String, Vec<String>> = theirs
        .into_iter()
        .map(|(rule, levels)| {
            (
                rule,
                levels
                    .into_iter()
                    .filter(|level| named.contains(level.as_str()))
                    .collect(),
            )
        })
        .collect();
    let ours = Rule::ALL.iter().map(|rule| {
        let on = Level::ALL.iter().filter(|level| rule.is_on_at(**level));
        let levels: BTreeSet<String> = on.map(Level::to_string).collect();
        (rule.to_string(), levels.into_iter().collect())
    });
    assert_eq!(ours.collect::<BTreeMap<String, Vec<String>>>(), theirs);
    Ok(())
}

#[test]
fn damaged_descriptor_sets_are_compared_as_far_as_they_go() -> Result<()> {
    let pair = Pair::of_mutants(&Buf::ensure()?, &mut (0..3).map(Mutant::number).collect())?;
    let whole = fs::read(&pair.new)?;
    let against = FileDescriptorSet::decode(&fs::read(&pair.against)?)?;
    let mut random = StdRng::seed_from_u64(0);
    let mut decoded = 0;
    for _ in 0..DAMAGED_SETS {
        let mut damaged = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..damaged.len());
            damaged[at] = random.random();
        }
        if let Ok(new) = FileDescriptorSet::decode(&damaged) {
            decoded += 1;
            check(&against, &new, Level::File);
            check(&new, &against, Level::Wire);
        }
    }
    assert!(
        decoded > DAMAGED_SETS / 10,
        "only {decoded} of {DAMAGED_SETS} can be read"
    );
    Ok(())
}

#[test]
fn two_versions_of_googles_common_protos_break_what_buf_says() -> Result<()> {
    assert_agreement_on(Idl::googleapis)
}

#[test]
fn two_versions_of_the_api_of_etcd_break_what_buf_says() -> Result<()> {
    assert_agreement_on(|release| {
        let idl = Idl::etcd(release)?;
        // One of its files imports its neighbours without their folder, as etcd's own build lets it.
        let rooted =
            idl.0.into_iter().map(
                |(name, content)| match name.strip_prefix("etcd/api/etcdserverpb/") {
                    Some(file) => (file.to_owned(), content),
                    None => (name, content),
                },
            );
        Ok(Idl(rooted.collect()))
    })
}

#[test]
fn two_versions_of_the_api_of_kubernetes_break_what_buf_says() -> Result<()> {
    assert_agreement_on(Idl::kubernetes)
}

fn assert_agreement_on(fetch: impl Fn(Release) -> Result<Idl>) -> Result<()> {
    let buf = Buf::ensure()?;
    let pair = Pair::of_idl(&fetch(Release::Former)?, &fetch(Release::Current)?)?;
    let broken = pair.assert_agreement(&buf, &[])?;
    assert!(!broken.is_empty(), "versions this far apart differ");
    pair.reversed().assert_agreement(&buf, &[])?;
    Ok(())
}
