//! A cluster in miniature, in which everything goes wrong that can: what must hold anyhow, holds.

use super::*;
use crate::idl_repo::plan::situation::is_delivered;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// How many histories are tried, each from its own seed.
const HISTORIES: u64 = 100;

/// How long each is.
const STEPS: usize = 200;

/// How many undisturbed steps may pass until all is delivered.
const SETTLE_STEPS: usize = 200;

/// The API server, the Jobs and the people, as far as the plan can tell.
struct Cluster {
    idl_repo: IdlRepo,
    jobs: Vec<ObservedRun>,
    /// Every name that a Job ever had.
    names: BTreeSet<String>,
    head: String,
    secrets: String,
    publication: ObservedPublication,
    now: i64,
    random: StdRng,
    /// What was delivered, in order.
    deliveries: Vec<Target>,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut idl_repo = Case::new().idl_repo;
        idl_repo.status = None;
        Self {
            idl_repo,
            jobs: Vec::new(),
            names: BTreeSet::new(),
            head: A.into(),
            secrets: "s1".into(),
            publication: ObservedPublication::default(),
            now: 0,
            random: StdRng::seed_from_u64(seed),
            deliveries: Vec::new(),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    /// People and machines do something.
    fn disturb(&mut self) {
        self.now += self.random.random_range(0..90);
        match self.random.random_range(0..12) {
            0 => self.head = format!("{:040x}", self.random.random_range(0..5_u32)),
            1 => {
                let branch = format!("b{}", self.random.random_range(0..3_u32));
                if self.idl_repo.spec.output.branch != branch {
                    self.idl_repo.spec.output.branch = branch;
                    self.idl_repo.metadata.generation = self.idl_repo.metadata.generation.map(|one| one + 1);
                }
            }
            2 => {
                let value = format!("r{}", self.now);
                self.idl_repo
                    .annotations_mut()
                    .insert(metadata::REQUESTED_AT.into(), value);
            }
            3 => self.secrets = format!("s{}", self.random.random_range(0..3_u32)),
            4 => {
                let suspend = self.chance(30);
                if self.idl_repo.spec.suspend != suspend {
                    self.idl_repo.spec.suspend = suspend;
                    self.idl_repo.metadata.generation = self.idl_repo.metadata.generation.map(|one| one + 1);
                }
            }
            5 if !self.jobs.is_empty() => {
                let victim = self.random.random_range(0..self.jobs.len());
                self.jobs.remove(victim);
            }
            _ => self.finish_jobs(60, 50),
        }
    }

    /// Jobs go on: they end, with luck well, and those on their way out leave.
    fn finish_jobs(&mut self, ends_percent: u32, succeeds_percent: u32) {
        self.jobs.retain(|job| !job.deleting);
        let now = self.now;
        for index in 0..self.jobs.len() {
            if !self.jobs[index].is_active() || !self.chance(ends_percent) {
                continue;
            }
            let state = if self.chance(succeeds_percent) {
                self.deliveries.push(self.jobs[index].target.clone());
                self.publication = ObservedPublication::for_tests(&self.jobs[index].target.commit);
                delivered(now)
            } else if self.chance(50) {
                failed(Reason::PushRejected, now)
            } else {
                failed(Reason::CompilationFailed, now)
            };
            self.jobs[index].state = state;
        }
    }

    /// One reconcile, which may be killed before it has written the status.
    fn reconcile(&mut self, killed_percent: u32, source_fails_percent: u32) -> Plan {
        let spec = validate(&self.idl_repo).unwrap();
        let secrets = ObservedSecrets::for_tests(&self.secrets);
        let is_due = check_is_due(&self.idl_repo, &spec, &secrets.version, "o1", at(self.now));
        let check = is_due.then(|| match self.chance(source_fails_percent) {
            true => Check::Failed(Problem {
                reason: Reason::HostUnknown,
                message: "no such host".into(),
            }),
            false => Check::Found {
                commit: self.head.clone(),
                reference: None,
            },
        });
        let observed = Observed {
            runs: self.jobs.clone(),
            secrets,
            publication: self.publication.clone(),
            settings_version: "o1".into(),
            awaits_source: false,
            check,
        };
        let mut plan = plan(&self.idl_repo, &spec, &observed, at(self.now));
        let applied = self.apply(&plan);
        plan.absorb(&applied);
        if !self.chance(killed_percent) {
            self.idl_repo.status = Some(plan.record.clone());
        }
        plan
    }

    fn apply(&mut self, plan: &Plan) -> Applied {
        self.jobs.retain(|job| !plan.prune.contains(&job.job));
        match &plan.step {
            Step::Cancel { job } => {
                let cancelled = self.jobs.iter_mut().find(|candidate| candidate.job == *job);
                cancelled.expect("only what is there is cancelled").deleting = true;
                Applied::Nothing
            }
            Step::Start(request) => {
                let active = self.jobs.iter().find(|job| job.is_active());
                assert!(active.is_none(), "two runs at once: {active:?} and {request:?}");
                let job = format!(
                    "{}/{}/{}",
                    request.target.commit, request.target.digest, request.attempt
                );
                assert!(
                    self.jobs.iter().all(|other| other.job != job),
                    "{job} is there already"
                );
                self.names.insert(job.clone());
                let run = ObservedRun {
                    job,
                    target: request.target.clone(),
                    attempt: request.attempt,
                    cause: Some(request.cause),
                    circumstances: request.circumstances.clone(),
                    accepts_breaking: request.accepts_breaking,
                    created_at: at(self.now),
                    trace_parent: None,
                    state: active_state(),
                    deleting: false,
                };
                self.jobs.push(run.clone());
                Applied::Started(Box::new(run.to_last_run()))
            }
            _ => Applied::Nothing,
        }
    }
}

fn active_state() -> RunState {
    RunState::Active { waiting: None }
}

#[test]
fn whatever_happens_one_run_goes_on_at_a_time_and_in_the_end_all_is_delivered() {
    for seed in 0..HISTORIES {
        let mut cluster = Cluster::new(seed);
        for _ in 0..STEPS {
            cluster.disturb();
            cluster.reconcile(20, 10);
        }
        // Everybody goes home, and what is broken is mended.
        cluster.idl_repo.spec.suspend = false;
        cluster.idl_repo.metadata.generation = cluster.idl_repo.metadata.generation.map(|one| one + 1);
        let settled = (0..SETTLE_STEPS).any(|_| {
            cluster.now += 60;
            cluster.finish_jobs(100, 100);
            cluster.reconcile(0, 0).step == Step::Rest
        });
        let target = Target {
            commit: cluster.head.clone(),
            digest: cluster.idl_repo.spec.digest(),
        };
        let status = cluster.idl_repo.status.clone().unwrap_or_default();
        assert!(
            settled && is_delivered(&status, &target),
            "seed {seed}: {status:?}"
        );
    }
}

#[test]
fn killed_at_any_time_it_delivers_each_commit_once() {
    for seed in 0..HISTORIES {
        let mut cluster = Cluster::new(seed);
        let mut commits = Vec::new();
        for number in 0..10_u32 {
            cluster.head = format!("{number:040x}");
            commits.push(cluster.head.clone());
            let value = format!("r{number}");
            cluster
                .idl_repo
                .annotations_mut()
                .insert(metadata::REQUESTED_AT.into(), value);
            loop {
                cluster.now += 1;
                cluster.finish_jobs(30, 100);
                let plan = cluster.reconcile(50, 0);
                let is_written = cluster.idl_repo.status.as_ref() == Some(&plan.record);
                if is_written && plan.step == Step::Rest {
                    break;
                }
            }
        }
        let delivered: Vec<_> = cluster
            .deliveries
            .iter()
            .map(|target| target.commit.clone())
            .collect();
        assert_eq!(delivered, commits, "seed {seed}");
        assert_eq!(cluster.names.len(), commits.len(), "seed {seed}");
    }
}
