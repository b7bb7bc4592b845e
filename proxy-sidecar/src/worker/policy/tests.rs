//! Looks at threads, and what is decided.

use super::*;

/// Threads of which each has a share of a processor and sessions that have something to do.
fn loads<const N: usize>(threads: [(f64, usize); N]) -> [Load; N] {
    threads.map(|(busy, active)| Load { busy, active })
}

/// What is decided at last when every look shows the same.
fn after(looks: u32, policy: &mut Policy, loads: &[Load], free: Option<f64>) -> Decision {
    let decisions: Vec<_> = (0..looks).map(|_| policy.decide(loads, free)).collect();
    *decisions.last().unwrap()
}

const PLENTY: Option<f64> = Some(2.0);

#[test]
fn the_first_thread_accepts_alone_until_it_is_full() {
    let mut policy = Policy::default();
    let decision = after(50, &mut policy, &loads([(0.69, 100), (0.0, 0)]), PLENTY);
    assert_eq!((decision.accepting, decision.giving), (1, None));
    assert_eq!(
        policy.decide(&loads([(0.71, 100), (0.0, 0)]), PLENTY).accepting,
        2
    );
}

#[test]
fn threads_begin_to_accept_one_after_the_other_and_stop_when_they_have_long_been_spare() {
    let mut policy = Policy::default();
    let busy = loads([(0.9, 1), (0.9, 1), (0.9, 1)]);
    let accepting: Vec<_> = (0..3).map(|_| policy.decide(&busy, None).accepting).collect();
    assert_eq!(accepting, [2, 3, 3]);
    let calm = loads([(0.1, 1), (0.1, 1), (0.1, 1)]);
    assert_eq!(after(SPARE_LOOKS - 1, &mut policy, &calm, None).accepting, 3);
    assert_eq!(policy.decide(&calm, None).accepting, 2);
    assert_eq!(after(SPARE_LOOKS, &mut policy, &calm, None).accepting, 1);
    assert_eq!(after(SPARE_LOOKS, &mut policy, &calm, None).accepting, 1);
}

#[test]
fn a_thread_between_the_bounds_accepts_on() {
    let mut policy = Policy::default();
    assert_eq!(
        after(1, &mut policy, &loads([(0.8, 1), (0.0, 0)]), None).accepting,
        2
    );
    assert_eq!(
        after(100, &mut policy, &loads([(0.4, 1), (0.2, 1)]), None).accepting,
        2
    );
}

#[test]
fn an_overloaded_thread_gives_half_of_the_difference_after_some_looks_and_then_rests() {
    let mut policy = Policy::default();
    let uneven = loads([(1.0, 100), (0.2, 10)]);
    assert_eq!(
        after(OVERLOADED_LOOKS - 1, &mut policy, &uneven, PLENTY).giving,
        None
    );
    let giving = Giving {
        from: 0,
        to: 1,
        sessions: 40,
    };
    assert_eq!(policy.decide(&uneven, PLENTY).giving, Some(giving));
    let rest = SETTLE_LOOKS + OVERLOADED_LOOKS - 1;
    for look in 0..rest {
        assert_eq!(policy.decide(&uneven, PLENTY).giving, None, "{look}");
    }
    assert_eq!(policy.decide(&uneven, PLENTY).giving, Some(giving));
}

#[test]
fn a_moment_of_work_moves_nothing() {
    let mut policy = Policy::default();
    for _ in 0..10 {
        let uneven = loads([(1.0, 100), (0.0, 0)]);
        assert_eq!(
            after(OVERLOADED_LOOKS - 1, &mut policy, &uneven, PLENTY).giving,
            None
        );
        assert_eq!(policy.decide(&loads([(0.5, 100), (0.0, 0)]), PLENTY).giving, None);
    }
}

#[test]
fn nothing_is_given_where_it_would_not_help() {
    let cases = [
        ("nobody is overloaded", loads([(0.84, 10), (0.0, 0)]), PLENTY),
        ("nobody is calm", loads([(1.0, 10), (0.51, 10)]), PLENTY),
        ("one session is the load", loads([(1.0, 1), (0.0, 0)]), PLENTY),
        ("no session is the load", loads([(1.0, 0), (0.0, 0)]), PLENTY),
        ("no processor is free", loads([(1.0, 10), (0.0, 0)]), Some(0.4)),
        ("nobody knows yet", loads([(1.0, 10), (0.0, 0)]), None),
    ];
    for (why, loads, free) in cases {
        let mut policy = Policy::default();
        for _ in 0..50 {
            assert_eq!(policy.decide(&loads, free).giving, None, "{why}");
        }
    }
}

#[test]
fn the_busiest_gives_to_the_calmest_one_session_at_least_and_never_all() {
    let cases = [
        ([(0.86, 2), (0.95, 2), (0.3, 1), (0.1, 0)], (1, 3, 1)),
        ([(0.0, 0), (0.3, 1), (0.4, 1), (1.0, 1000)], (3, 0, 500)),
        ([(0.0, 0), (0.9, 3), (0.4, 1), (0.0, 0)], (1, 0, 1)),
    ];
    for (threads, (from, to, sessions)) in cases {
        let giving = after(OVERLOADED_LOOKS, &mut Policy::default(), &loads(threads), PLENTY).giving;
        assert_eq!(giving, Some(Giving { from, to, sessions }), "{threads:?}");
    }
}

#[test]
fn sessions_that_were_given_do_not_come_back() {
    let mut policy = Policy::default();
    after(
        OVERLOADED_LOOKS,
        &mut policy,
        &loads([(1.0, 100), (0.0, 0)]),
        PLENTY,
    );
    for busy in [(0.6, 0.6), (0.84, 0.3), (0.3, 0.84), (0.9, 0.6), (0.6, 0.9)] {
        let threads = loads([(busy.0, 50), (busy.1, 50)]);
        assert_eq!(after(100, &mut policy, &threads, PLENTY).giving, None, "{busy:?}");
    }
}
