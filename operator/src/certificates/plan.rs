//! What is to be done about the certificates now, and when to look again. Pure.

use super::Lifetimes;
use super::authority::CLOCK_SKEW;
use super::stored::{Certificate, Stored};
use std::time::Duration;

/// A step. Each leaves a state from which the next one is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// There is nothing of use: begin anew.
    Begin,
    /// Have a new authority trusted, and let the old one go on signing.
    Announce,
    /// The announced authority signs from now on. With it comes a new serving certificate.
    Promote,
    /// A new serving certificate.
    Renew,
    /// Nothing, until this second.
    WaitUntil(i64),
}

/// Each certificate is replaced when this share of its time is left.
const REMAINING_SHARE: u32 = 3;

/// What to do at `now`, in seconds since 1970.
pub(super) fn plan(stored: Option<&Stored>, names: &[String], lifetimes: &Lifetimes, now: i64) -> Step {
    let Some(stored) = stored else {
        return Step::Begin;
    };
    let authority = &stored.authority.certificate;
    let next = stored.next.as_ref().map(|next| &next.certificate);
    let next = next.filter(|next| next.not_after > now);
    if authority.not_after <= now {
        return next.map_or(Step::Begin, |_| Step::Promote);
    }
    let announced = |authority: &Certificate| {
        authority.not_before + seconds(CLOCK_SKEW) + seconds(lifetimes.announcement)
    };
    let due = |certificate: &Certificate, lifetime: Duration| {
        certificate.not_after - seconds(lifetime / REMAINING_SHARE)
    };
    let authority_due = next.map_or_else(|| due(authority, lifetimes.authority), announced);
    if authority_due <= now {
        return next.map_or(Step::Announce, |_| Step::Promote);
    }
    let serving = &stored.serving.certificate;
    if sorted(&serving.names) != sorted(names) {
        return Step::Renew;
    }
    // Somebody else's certificate is what others trust; ours they have to hear of first.
    if !stored.is_served_by_own_authority() {
        let until = announced(authority).min(serving.not_after);
        return match until <= now {
            true => Step::Renew,
            false => Step::WaitUntil(until),
        };
    }
    // One that ends with its authority cannot be replaced by a later one: the authority's successor does that.
    let capped = serving.not_after >= authority.not_after;
    let serving_due = due(serving, lifetimes.serving);
    if serving_due <= now && !capped {
        return Step::Renew;
    }
    Step::WaitUntil(match capped {
        true => authority_due,
        false => authority_due.min(serving_due),
    })
}

fn sorted(names: &[String]) -> Vec<&String> {
    let mut names: Vec<_> = names.iter().collect();
    names.sort();
    names.dedup();
    names
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::keep::carry_out;
    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn lifetimes() -> Lifetimes {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Lifetimes {
            authority: days(365),
            serving: days(30),
            announcement: days(1),
        }
    }

    fn names() -> Vec<String> {
        vec!["heddle.system.svc".into(), "127.0.0.1".into()]
    }

    /// Lives through `days` from nothing, and checks every state that is ever served.
    #[test]
    fn years_go_by_and_whoever_trusts_an_old_bundle_or_a_new_one_trusts_what_is_served() {
        let start = 1_800_000_000;
        let mut now = start;
        let mut stored: Option<Stored> = None;
        let mut bundles: Vec<(i64, String)> = Vec::new();
        let mut promotions = 0;
        while now < start + 4 * 365 * DAY {
            match plan(stored.as_ref(), &names(), &lifetimes(), now) {
                Step::WaitUntil(then) => {
                    assert!(then > now && then - now <= 365 * DAY, "{then} at {now}");
                    now = then;
                    continue;
                }
                step => {
                    promotions += usize::from(step == Step::Promote);
                    stored = Some(carry_out(step, stored, &names(), &lifetimes(), now).unwrap());
                }
            }
            let state = stored.as_ref().unwrap();
            let serving = &state.serving.certificate;
            assert!(
                serving.not_before <= now && serving.not_after > now + 7 * DAY,
                "{now}"
            );
            assert_eq!(serving.issuer, state.authority.certificate.subject);
            bundles.push((now, state.bundle()));
            // Who has not heard of a new bundle for less than the announcement, or for months where no authority changed.
            let trusted_since = now - lifetimes().announcement.as_secs() as i64;
            for (_, bundle) in bundles.iter().filter(|(at, _)| *at > trusted_since) {
                assert!(bundle.contains(&state.authority.certificate.pem), "{now}");
            }
            // Secrets must not grow for ever.
            assert!(state.former.len() <= 1, "{:?}", state.former.len());
        }
        assert!((5..=8).contains(&promotions), "{promotions}");
    }

    /// As cert-manager leaves it: no authority of ours, or one that it does not know of.
    fn foreign(now: i64) -> (Stored, k8s_openapi::api::core::v1::Secret) {
        let theirs = carry_out(Step::Begin, None, &names(), &lifetimes(), now).unwrap();
        let mut data = theirs.data();
        data.retain(|key, _| !key.starts_with("authority"));
        let secret = k8s_openapi::api::core::v1::Secret {
            data: Some(data),
            ..Default::default()
        };
        (theirs, secret)
    }

    #[test]
    fn what_another_issuer_left_is_served_until_our_authority_has_been_announced() {
        let now = 1_800_000_000;
        let (theirs, secret) = foreign(now);
        assert!(Stored::read(&secret).is_err());
        let ours = super::super::authority::authority(now, lifetimes().authority).unwrap();
        let adopted = Stored::adopt(&secret, ours).unwrap();
        assert_eq!(adopted.serving, theirs.serving);
        for certificate in [
            &theirs.authority.certificate.pem,
            &adopted.authority.certificate.pem,
        ] {
            assert!(adopted.bundle().contains(certificate));
        }
        let announcement = lifetimes().announcement.as_secs() as i64;
        let step = plan(Some(&adopted), &names(), &lifetimes(), now);
        assert_eq!(step, Step::WaitUntil(now + announcement));
        let later = now + announcement;
        assert_eq!(plan(Some(&adopted), &names(), &lifetimes(), later), Step::Renew);
        let served = carry_out(Step::Renew, Some(adopted), &names(), &lifetimes(), later).unwrap();
        assert_eq!(
            served.serving.certificate.issuer,
            served.authority.certificate.subject
        );
        assert!(served.bundle().contains(&theirs.authority.certificate.pem));
    }

    #[test]
    fn an_authority_that_another_issuer_has_written_over_is_not_gone_on_with() {
        let now = 1_800_000_000;
        let ours = carry_out(Step::Begin, None, &names(), &lifetimes(), now).unwrap();
        let mut data = ours.data();
        data.extend(foreign(now).1.data.unwrap());
        let secret = k8s_openapi::api::core::v1::Secret {
            data: Some(data),
            ..Default::default()
        };
        assert_eq!(
            Stored::read(&secret),
            Err(super::super::stored::StoredError::Foreign)
        );
    }

    #[test]
    fn an_authority_that_ended_while_nobody_looked_is_announced_anew_or_followed_by_the_next() {
        let now = 1_800_000_000;
        let begun = carry_out(Step::Begin, None, &names(), &lifetimes(), now).unwrap();
        let then = now + 300 * DAY;
        let announced = carry_out(Step::Announce, Some(begun), &names(), &lifetimes(), then).unwrap();
        let plan = |stored, now| plan(Some(stored), &names(), &lifetimes(), now);
        // The first has ended and the next has not: those who have heard of it trust it.
        assert_eq!(plan(&announced, now + 400 * DAY), Step::Promote);
        // Both have.
        assert_eq!(plan(&announced, then + 400 * DAY), Step::Begin);
        // An announced one that has ended is not promoted.
        let young = carry_out(Step::Begin, None, &names(), &lifetimes(), then + 400 * DAY).unwrap();
        let stale = Stored {
            next: announced.next.clone(),
            ..young
        };
        assert!(!matches!(plan(&stale, then + 401 * DAY), Step::Promote));
    }

    #[test]
    fn a_certificate_for_other_names_is_renewed_at_once() {
        let now = 1_800_000_000;
        let begin = |names: &[String]| carry_out(Step::Begin, None, names, &lifetimes(), now).unwrap();
        let stored = begin(&names());
        let other_order: Vec<_> = names().into_iter().rev().collect();
        let waits = |step| matches!(step, Step::WaitUntil(_));
        assert!(waits(plan(Some(&stored), &other_order, &lifetimes(), now)));
        assert_eq!(plan(Some(&stored), &names()[..1], &lifetimes(), now), Step::Renew);
        assert_eq!(
            plan(Some(&stored), &names(), &lifetimes(), now + 366 * DAY),
            Step::Begin
        );
    }

    #[test]
    fn what_is_written_to_the_secret_is_read_as_it_was_and_keys_are_not_shown() {
        let now = 1_800_000_000;
        let mut stored = None;
        for step in [Step::Begin, Step::Announce, Step::Promote, Step::Announce] {
            let state = carry_out(step, stored, &names(), &lifetimes(), now).unwrap();
            let secret = k8s_openapi::api::core::v1::Secret {
                data: Some(state.data()),
                ..Default::default()
            };
            assert_eq!(Stored::read(&secret).unwrap(), state);
            assert!(!format!("{state:?}").contains("PRIVATE KEY"));
            stored = Some(state);
        }
    }
}
