//! `Timestamp` as RFC 3339 and `Duration` as seconds: both ways, with the ranges that protobuf gives them.

/// 0001-01-01T00:00:00Z.
pub(super) const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
pub(super) const LAST_SECOND: i64 = 253_402_300_799;
/// The longest duration either way: 10,000 years.
pub(super) const LONGEST_SECONDS: i64 = 315_576_000_000;
pub(super) const NANOS_PER_SECOND: i32 = 1_000_000_000;

const SECONDS_PER_DAY: i64 = 86_400;

/// `2024-02-29T12:34:56.123456789Z` is the longest form.
pub(super) const LONGEST_TIMESTAMP: usize = 30;
/// `-315576000000.999999999s` is the longest form.
pub(super) const LONGEST_DURATION: usize = 24;

/// Writes a point in time and returns how many bytes it took; `None` when it is out of range.
pub(super) fn write_timestamp(room: &mut [u8; LONGEST_TIMESTAMP], seconds: i64, nanos: i32) -> Option<usize> {
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) || !(0..NANOS_PER_SECOND).contains(&nanos) {
        return None;
    }
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY) as u32;
    room[..20].copy_from_slice(b"0000-00-00T00:00:00Z");
    two(room, 0, year / 100);
    two(room, 2, year % 100);
    two(room, 5, month);
    two(room, 8, day);
    two(room, 11, second / 3600);
    two(room, 14, second / 60 % 60);
    two(room, 17, second % 60);
    if nanos == 0 {
        return Some(20);
    }
    let end = 19 + write_fraction(&mut room[19..], nanos as u32);
    room[end] = b'Z';
    Some(end + 1)
}

/// Writes a span of time and returns how many bytes it took; `None` when it is out of range or its signs differ.
pub(super) fn write_duration(room: &mut [u8; LONGEST_DURATION], seconds: i64, nanos: i32) -> Option<usize> {
    let in_range = (-LONGEST_SECONDS..=LONGEST_SECONDS).contains(&seconds);
    let signs_agree = seconds.signum() * i64::from(nanos.signum()) >= 0;
    if !in_range || !signs_agree || nanos.unsigned_abs() >= NANOS_PER_SECOND as u32 {
        return None;
    }
    let mut at = 0;
    if seconds < 0 || nanos < 0 {
        room[0] = b'-';
        at = 1;
    }
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(seconds.unsigned_abs()).as_bytes();
    room.get_mut(at..at + digits.len())?.copy_from_slice(digits);
    at += digits.len();
    if nanos != 0 {
        at += write_fraction(&mut room[at..], nanos.unsigned_abs());
    }
    *room.get_mut(at)? = b's';
    Some(at + 1)
}

/// Writes `.` and 3, 6 or 9 digits.
fn write_fraction(room: &mut [u8], nanos: u32) -> usize {
    let digits = match nanos {
        _ if nanos.is_multiple_of(1_000_000) => 3,
        _ if nanos.is_multiple_of(1_000) => 6,
        _ => 9,
    };
    let mut rest = nanos / 10u32.pow(9 - digits);
    let digits = digits as usize;
    for cell in room.iter_mut().take(digits + 1).skip(1).rev() {
        *cell = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    if let Some(point) = room.first_mut() {
        *point = b'.';
    }
    digits + 1
}

fn two(room: &mut [u8; LONGEST_TIMESTAMP], at: usize, value: u32) {
    room[at] = b'0' + (value / 10) as u8;
    room[at + 1] = b'0' + (value % 10) as u8;
}

/// Year, month and day of a day counted from 1970-01-01, after Howard Hinnant's `civil_from_days`.
fn civil(day: i64) -> (u32, u32, u32) {
    // Years begin in March here, so that the leap day is the last of its year. Days are counted from 0000-03-01.
    let day = (day + 719_468) as u32;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

/// The day counted from 1970-01-01; the inverse of [`civil`].
fn day_number(year: u32, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    i64::from(era) * 146_097 + i64::from(of_era) - 719_468
}

/// Reads a point in time as RFC 3339 writes it; `None` when it is malformed or out of range.
pub(super) fn read_timestamp(text: &[u8]) -> Option<(i64, i32)> {
    let (date, rest) = text.split_first_chunk::<19>()?;
    let shape = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if shape.iter().any(|(at, byte)| date[*at] != *byte) {
        return None;
    }
    let year = number(&date[..4])?;
    let (month, day) = (number(&date[5..7])?, number(&date[8..10])?);
    let (hour, minute, second) = (
        number(&date[11..13])?,
        number(&date[14..16])?,
        number(&date[17..])?,
    );
    let month_fits = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if year == 0 || !month_fits || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, rest) = read_fraction(rest)?;
    let local =
        day_number(year, month, day) * SECONDS_PER_DAY + i64::from(hour * 3600 + minute * 60 + second);
    let seconds = local - read_offset(rest)?;
    (FIRST_SECOND..=LAST_SECOND)
        .contains(&seconds)
        .then_some((seconds, nanos as i32))
}

/// Reads seconds with an `s` behind; `None` when they are malformed or too many.
pub(super) fn read_duration(text: &[u8]) -> Option<(i64, i32)> {
    let text = text.strip_suffix(b"s")?;
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // Twelve digits hold the longest duration.
    if digits == 0 || digits > 12 {
        return None;
    }
    let (whole, rest) = text.split_at(digits);
    let seconds = whole
        .iter()
        .fold(0i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    let (nanos, rest) = read_fraction(rest)?;
    if !rest.is_empty() || seconds > LONGEST_SECONDS {
        return None;
    }
    let (seconds, nanos) = if negative {
        (-seconds, -(nanos as i32))
    } else {
        (seconds, nanos as i32)
    };
    Some((seconds, nanos))
}

/// Nanoseconds from `.` and one to nine digits, zero without them; and what follows.
fn read_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > 9 {
        return None;
    }
    let (fraction, rest) = rest.split_at(digits);
    Some((number(fraction)? * 10u32.pow(9 - digits as u32), rest))
}

/// The seconds by which local time is ahead, from `Z` or `+hh:mm`.
fn read_offset(text: &[u8]) -> Option<i64> {
    let (sign, [h1, h2, b':', m1, m2]) = (match text {
        b"Z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    }) else {
        return None;
    };
    let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    (hours <= 23 && minutes <= 59).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// Up to nine digits as a number.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'))
    })
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(seconds: i64, nanos: i32) -> Option<String> {
        let mut room = [0; LONGEST_TIMESTAMP];
        let length = write_timestamp(&mut room, seconds, nanos)?;
        Some(String::from_utf8(room[..length].to_vec()).unwrap())
    }

    fn duration(seconds: i64, nanos: i32) -> Option<String> {
        let mut room = [0; LONGEST_DURATION];
        let length = write_duration(&mut room, seconds, nanos)?;
        Some(String::from_utf8(room[..length].to_vec()).unwrap())
    }

    #[test]
    fn the_ends_of_time_are_written_and_beyond_is_refused() {
        assert_eq!(
            timestamp(FIRST_SECOND, 0).as_deref(),
            Some("0001-01-01T00:00:00Z")
        );
        let last = timestamp(LAST_SECOND, 999_999_999);
        assert_eq!(last.as_deref(), Some("9999-12-31T23:59:59.999999999Z"));
        assert_eq!(timestamp(FIRST_SECOND - 1, 0), None);
        assert_eq!(timestamp(LAST_SECOND + 1, 0), None);
        assert_eq!(timestamp(0, -1), None);
        assert_eq!(timestamp(0, NANOS_PER_SECOND), None);
    }

    #[test]
    fn every_day_of_ten_thousand_years_survives_the_round_trip() {
        for day in FIRST_SECOND / SECONDS_PER_DAY..=LAST_SECOND / SECONDS_PER_DAY {
            let (year, month, of_month) = civil(day);
            assert_eq!(day_number(year, month, of_month), day);
        }
    }

    #[test]
    fn timestamps_are_read_with_fraction_and_offset() {
        assert_eq!(read_timestamp(b"1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(
            read_timestamp(b"1970-01-01T01:30:00.5+01:00"),
            Some((1800, 500_000_000))
        );
        assert_eq!(read_timestamp(b"1969-12-31T23:59:59-00:01"), Some((59, 0)));
        assert_eq!(
            read_timestamp(b"2024-02-29T12:00:00.000000001Z"),
            Some((1_709_208_000, 1))
        );
    }

    #[test]
    fn malformed_timestamps_are_refused() {
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01t00:00:00Z",
            "1970-01-01T00:00:00z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "2023-02-29T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:60Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "0000-01-01T00:00:00Z",
            "1970-01-01T00:00:00+1:00",
            "1970-01-01T00:00:00Z ",
        ] {
            assert_eq!(read_timestamp(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn durations_have_one_sign_and_three_six_or_nine_digits() {
        assert_eq!(duration(1, 0).as_deref(), Some("1s"));
        assert_eq!(duration(0, -500_000_000).as_deref(), Some("-0.500s"));
        assert_eq!(duration(-1, -1_000).as_deref(), Some("-1.000001s"));
        let longest = duration(-LONGEST_SECONDS, -999_999_999);
        assert_eq!(longest.as_deref(), Some("-315576000000.999999999s"));
        assert_eq!(duration(1, -1), None);
        assert_eq!(duration(LONGEST_SECONDS + 1, 0), None);
        for (seconds, nanos) in [(0, 0), (5, 1), (-5, -10), (0, -1_000_000)] {
            let text = duration(seconds, nanos).unwrap();
            assert_eq!(read_duration(text.as_bytes()), Some((seconds, nanos)));
        }
    }

    #[test]
    fn malformed_durations_are_refused() {
        for text in [
            "",
            "s",
            "1",
            "+1s",
            "1.s",
            ".5s",
            "--1s",
            "1 s",
            "315576000001s",
            "1.0000000001s",
            "1S",
        ] {
            assert_eq!(read_duration(text.as_bytes()), None, "{text}");
        }
    }
}
