//! The proxy against Autobahn's suite: in front of an echo server it changes nothing that the suite can see.

mod proxy;

use anyhow::Result;
use heddle_tests::autobahn::{Agent, Autobahn, Echo, Verdict, Verdicts};
use proxy::{FRAMED, Proxy, UNTOUCHED};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// The echo server by itself.
const DIRECT: &str = "direct";

/// Set to `all`, it makes a test of a minute or two one of an hour: with the limits (9.*) and with every payload and
/// parameter of permessage-deflate (12.*, 13.*). Anything else is a list of cases, such as `9.*,12.1.18`.
const EXTENT: &str = "HEDDLE_AUTOBAHN";

/// Everything but 9.*, and of permessage-deflate each payload and each choice of parameters once, with messages that
/// increase in size and one that is fragmented.
const USUAL_CASES: [&str; 23] = [
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", "12.1.1", "12.1.3", "12.1.5", "12.1.11",
    "12.2.3", "12.3.3", "12.4.3", "12.5.3", "13.1.3", "13.2.3", "13.3.3", "13.4.3", "13.5.3", "13.6.3",
    "13.7.3",
];
const ALL_CASES: [&str; 1] = ["*"];

/// How many of them there are; with permessage-deflate agreed on, the suite leaves none out.
const USUAL_COUNT: usize = 262;
const ALL_COUNT: usize = 517;

/// How long the suite may take, many times what it does on two cores.
const USUAL_LIMIT: Duration = Duration::from_secs(15 * 60);
const LONGEST: Duration = Duration::from_secs(3 * 60 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_sees_no_difference_between_an_echo_server_and_the_proxy_before_it() -> Result<()> {
    let extent = std::env::var(EXTENT).unwrap_or_default();
    let (cases, count, limit) = match extent.as_str() {
        "" => (USUAL_CASES.to_vec(), Some(USUAL_COUNT), USUAL_LIMIT),
        "all" => (ALL_CASES.to_vec(), Some(ALL_COUNT), LONGEST),
        some => (some.split(',').collect(), None, LONGEST),
    };
    let suite = Autobahn::ensure()?;
    let echo = Echo::start().await?;
    let proxy = Proxy::start(echo.port()).await?;
    let agents = [
        (DIRECT, format!("ws://127.0.0.1:{}/", echo.port())),
        (UNTOUCHED, proxy.url(UNTOUCHED)),
        (FRAMED, proxy.url(FRAMED)),
    ]
    .map(|(name, url)| Agent { name, url });
    let started = Instant::now();
    let verdicts = suite.run(&agents, &cases, limit).await?;
    // Past the test harness, which shows what tests print only when they fail.
    let direct = verdicts.of(DIRECT);
    writeln!(
        std::io::stderr(),
        "Autobahn: {} cases of {} agents in {} s.",
        direct.len(),
        agents.len(),
        started.elapsed().as_secs()
    )?;
    assert_eq!(direct.len(), count.unwrap_or(direct.len().max(1)), "cases");
    assert_eq!(failed(&direct), Vec::<String>::new(), "the echo server");
    // That both are the same would not tell of a session that ends badly in both.
    for agent in [DIRECT, UNTOUCHED, FRAMED] {
        assert_eq!(unclean(&verdicts.of(agent)), Vec::<String>::new(), "{agent}");
    }
    for agent in [UNTOUCHED, FRAMED] {
        assert_eq!(differences(&verdicts, agent), Vec::<String>::new(), "{agent}");
    }
    Ok(())
}

fn failed(verdicts: &BTreeMap<String, Verdict>) -> Vec<String> {
    let failed = verdicts.iter().filter(|(_, verdict)| !verdict.is_passed());
    failed
        .map(|(case, verdict)| format!("{case}: {verdict:?}"))
        .collect()
}

/// Those whose session has not ended with a Close frame of each side.
fn unclean(verdicts: &BTreeMap<String, Verdict>) -> Vec<String> {
    let unclean = verdicts.iter().filter(|(_, verdict)| !verdict.is_clean);
    unclean
        .map(|(case, verdict)| format!("{case}: {verdict:?}"))
        .collect()
}

/// In words, case by case.
fn differences(verdicts: &Verdicts, agent: &str) -> Vec<String> {
    let (direct, proxied) = (verdicts.of(DIRECT), verdicts.of(agent));
    let differing = direct
        .iter()
        .filter(|(case, verdict)| proxied.get(*case) != Some(verdict));
    differing
        .map(|(case, verdict)| format!("{case}: directly {verdict:?}, here {:?}", proxied.get(case)))
        .collect()
}
