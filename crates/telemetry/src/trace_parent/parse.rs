//! Parsing of `traceparent` and `tracestate`. Everything here comes from strangers.

use super::TraceParent;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use std::str::FromStr;
use thiserror::Error;

/// `00-` + trace id + `-` + span id + `-` + flags.
const VERSION_00_LENGTH: usize = 55;
/// The standard asks to carry at least 512 characters of `tracestate`; more is dropped whole.
const MAX_TRACE_STATE_LENGTH: usize = 512;
/// List members the standard allows at most.
const MAX_TRACE_STATE_MEMBERS: usize = 32;

/// Why a text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidTraceParent {
    /// Not four groups of 2, 32, 16 and 2 digits, or a version 00 with more behind them.
    #[error(
        "failed to parse traceparent: expected version-traceid-spanid-flags, as in 00-<32 hex>-<16 hex>-<2 hex>"
    )]
    Shape,
    /// A digit is not one of `0-9a-f`.
    #[error("failed to parse traceparent: only lower-case hexadecimal digits are allowed")]
    Digits,
    /// Version `ff`, which the standard forbids.
    #[error("failed to parse traceparent: version ff is forbidden")]
    Version,
    /// The trace id or the span id is all zeros.
    #[error("failed to parse traceparent: an id must not be zero")]
    ZeroId,
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Parses a `traceparent` as <https://www.w3.org/TR/trace-context/#versioning-of-traceparent> says:
    /// of a version later than 00 only the fields of version 00 are read.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let fields = Fields::split(text.as_bytes())?;
        let version = hex(fields.version)? as u8;
        let trace_id = TraceId::from_bytes(hex(fields.trace_id)?.to_be_bytes());
        let span_id = SpanId::from_bytes((hex(fields.span_id)? as u64).to_be_bytes());
        let flags = hex(fields.flags)? as u8;
        match version {
            0xff => return Err(InvalidTraceParent::Version),
            0 if text.len() != VERSION_00_LENGTH => return Err(InvalidTraceParent::Shape),
            _ => {}
        }
        if trace_id == TraceId::INVALID || span_id == SpanId::INVALID {
            return Err(InvalidTraceParent::ZeroId);
        }
        // Bits other than "sampled" are not ours to pass on: their meaning belongs to later versions.
        let flags = TraceFlags::new(flags & TraceFlags::SAMPLED.to_u8());
        let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
        Ok(Self { context })
    }
}

struct Fields<'a> {
    version: &'a [u8],
    trace_id: &'a [u8],
    span_id: &'a [u8],
    flags: &'a [u8],
}

impl<'a> Fields<'a> {
    fn split(text: &'a [u8]) -> Result<Self, InvalidTraceParent> {
        let shape = InvalidTraceParent::Shape;
        if text.get(VERSION_00_LENGTH).is_some_and(|&byte| byte != b'-') {
            return Err(shape);
        }
        let fields = text.get(..VERSION_00_LENGTH).ok_or(shape)?;
        if [2, 35, 52].iter().any(|&dash| fields[dash] != b'-') {
            return Err(shape);
        }
        Ok(Self {
            version: &fields[..2],
            trace_id: &fields[3..35],
            span_id: &fields[36..52],
            flags: &fields[53..],
        })
    }
}

/// Reads at most 32 lower-case digits; the standard forbids upper case, the standard library does not.
fn hex(digits: &[u8]) -> Result<u128, InvalidTraceParent> {
    digits.iter().try_fold(0, |value: u128, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(InvalidTraceParent::Digits),
        };
        Ok(value << 4 | u128::from(nibble))
    })
}

/// Parses a `tracestate`; `None` when any member is invalid, since the rest cannot be trusted either.
pub(super) fn trace_state(header: &str) -> Option<TraceState> {
    if header.len() > MAX_TRACE_STATE_LENGTH
        || !header.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
    {
        return None;
    }
    let members = header
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty());
    let pairs = members
        .map(|member| {
            member
                .split_once('=')
                .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        })
        .collect::<Option<Vec<_>>>()?;
    if pairs.len() > MAX_TRACE_STATE_MEMBERS {
        return None;
    }
    TraceState::from_key_value(pairs).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(text: &str) -> Result<String, InvalidTraceParent> {
        text.parse::<TraceParent>().map(|parent| parent.to_string())
    }

    #[test]
    fn a_valid_traceparent_comes_back_unchanged() {
        assert_eq!(parse(VALID).as_deref(), Ok(VALID));
        let unsampled = VALID.replace("-01", "-00");
        assert_eq!(parse(&unsampled), Ok(unsampled));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_version_00_goes() {
        let later = VALID.replacen("00", "cc", 1);
        assert_eq!(parse(&later).as_deref(), Ok(VALID));
        assert_eq!(
            parse(&format!("{later}-what-the-future-brings")).as_deref(),
            Ok(VALID)
        );
        assert_eq!(parse(&format!("{later}.what")), Err(InvalidTraceParent::Shape));
        assert_eq!(parse(&format!("{VALID}-more")), Err(InvalidTraceParent::Shape));
    }

    #[test]
    fn flags_that_version_00_does_not_define_are_cleared() {
        assert_eq!(parse(&VALID.replace("-01", "-ff")).as_deref(), Ok(VALID));
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        let cases = [
            ("", InvalidTraceParent::Shape),
            ("00", InvalidTraceParent::Shape),
            (&VALID[..54], InvalidTraceParent::Shape),
            (&format!(" {VALID}"), InvalidTraceParent::Shape),
            (&format!("{VALID} "), InvalidTraceParent::Shape),
            (&VALID.replace('-', "_"), InvalidTraceParent::Shape),
            (&VALID.replace("4bf9", "4BF9"), InvalidTraceParent::Digits),
            (&VALID.replace("4bf9", "+bf9"), InvalidTraceParent::Digits),
            (&VALID.replacen("00", "ff", 1), InvalidTraceParent::Version),
            (
                &VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
                InvalidTraceParent::ZeroId,
            ),
            (
                &VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
                InvalidTraceParent::ZeroId,
            ),
            (&VALID.replace("4bf9", "é\u{301}"), InvalidTraceParent::Digits),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn an_invalid_trace_state_is_dropped_and_the_parent_kept() {
        let cases = [
            ("a=1,b=2", "a=1,b=2"),
            (" a=1 ,, b=2\t", "a=1,b=2"),
            ("tenant@vendor=x/y", "tenant@vendor=x/y"),
            ("A=1", ""),
            ("a", ""),
            ("=1", ""),
            ("a=b=c", ""),
            ("a=1\u{7}", ""),
            ("a=é", ""),
        ];
        for (header, expected) in cases {
            let parent: TraceParent = VALID.parse().unwrap();
            let parent = parent.with_trace_state(header);
            assert_eq!(
                (parent.trace_state().as_str(), parent.to_string().as_str()),
                (expected, VALID),
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_trace_state_beyond_its_limits_is_dropped_whole() {
        let too_many = vec!["a=1"; MAX_TRACE_STATE_MEMBERS + 1].join(",");
        let too_long = format!("a={}", "x".repeat(MAX_TRACE_STATE_LENGTH));
        assert_eq!(trace_state(&too_many), None);
        assert_eq!(trace_state(&too_long), None);
    }
}
