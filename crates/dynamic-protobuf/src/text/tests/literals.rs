//! Numbers, words and strings as text has them.

use super::*;

#[test]
fn integers_are_decimal_octal_or_hexadecimal() {
    for (text, expected) in [
        ("int32_field: 0", ""),
        ("int32_field: -2147483648", "int32_field: -2147483648"),
        ("int32_field: - # so\n 0x7fFF", "int32_field: -32767"),
        ("int64_field: 0777", "int64_field: 511"),
        (
            "int64_field: -9223372036854775808",
            "int64_field: -9223372036854775808",
        ),
        (
            "uint64_field: 0XFFFFFFFFFFFFFFFF",
            "uint64_field: 18446744073709551615",
        ),
        (
            "sint32_field: -1,sint64_field: 01;fixed32_field: 4294967295",
            "sint32_field: -1 sint64_field: 1 fixed32_field: 4294967295",
        ),
        (
            "sfixed32_field: -1 sfixed64_field: -2",
            "sfixed32_field: -1 sfixed64_field: -2",
        ),
    ] {
        check(PROTO3, text, expected);
    }
    for (text, expected) in [
        (
            "int32_field: 2147483648",
            "1:14: a number is out of the field's range in int32_field",
        ),
        ("int32_field: 1.0", "1:14: expected an integer in int32_field"),
        ("int32_field: 1f", "1:14: expected an integer in int32_field"),
        ("int32_field: '1'", "1:14: expected an integer in int32_field"),
        ("int32_field: 08", "1:14: a number is not valid in int32_field"),
        ("int32_field: 0x", "1:14: a number is not valid in int32_field"),
        ("int32_field: 1a", "1:14: a number is not valid in int32_field"),
        ("int32_field: +1", "1:14: expected an integer in int32_field"),
        ("int32_field: --1", "1:15: expected an integer in int32_field"),
        (
            "int64_field: 9223372036854775808",
            "1:14: a number is out of the field's range in int64_field",
        ),
        ("uint32_field: -0", "1:15: expected an integer in uint32_field"),
        (
            "uint64_field: 18446744073709551616",
            "1:15: a number is out of the field's range in uint64_field",
        ),
        ("int32_field:", "1:13: expected an integer in int32_field"),
    ] {
        check_refused(PROTO3, text, expected);
    }
}

#[test]
fn floats_are_decimal_with_an_optional_f_and_overflow_to_infinity() {
    for (text, expected) in [
        ("1", "1.0"),
        ("1.", "1.0"),
        (".5e+1F", "5.0"),
        ("10f", "10.0"),
        ("0", ""),
        ("-0", "-0.0"),
        ("- .5", "-0.5"),
        ("1.e-2", "0.01"),
        ("Inf", "inf"),
        ("-infinity", "-inf"),
        ("NaN", "nan"),
        ("-nan", "nan"),
        ("1e999", "inf"),
        ("-1e999", "-inf"),
        ("99999999999999999999999", "1e+23"),
    ] {
        let expected = match expected {
            "" => String::new(),
            expected => format!("double_field: {expected}"),
        };
        check(PROTO3, &format!("double_field: {text}"), &expected);
    }
    check(PROTO3, "float_field: 3.5e38", "float_field: inf");
    for text in [
        "0x1", "01", "00.5", "1.2.3", ".", "1e", "1e+", "e5", "infinit", "1ff", "0x1.8p3", "1.5g", "'1'",
    ] {
        let error = parsed(PROTO3, &format!("double_field: {text}")).unwrap_err();
        assert_eq!((error.line(), error.column()), (1, 15), "{text}");
        assert_eq!(error.path(), "double_field");
    }
}

#[test]
fn bools_and_enums_have_names_and_numbers() {
    check(
        PROTO3,
        "packed_bool: [true, True, t, 1, 0x1, 01, false, False, f, 0, 00]",
        [["packed_bool: true"].repeat(6), ["packed_bool: false"].repeat(5)]
            .concat()
            .join(" ")
            .as_str(),
    );
    check(PROTO3, "color: -0x3", "color: COLOR_BLUE");
    check(PROTO2, "closed: -1", "closed: CLOSED_NEGATIVE");
    for (name, text, expected) in [
        (PROTO3, "bool_field: TRUE", "1:13: expected a bool in bool_field"),
        (PROTO3, "bool_field: 2", "1:13: expected a bool in bool_field"),
        (PROTO3, "bool_field: -0", "1:13: expected a bool in bool_field"),
        (PROTO3, "color: RED", "1:8: the enum has no such value in color"),
        (
            PROTO3,
            "color: 2147483648",
            "1:8: a number is out of the field's range in color",
        ),
        (
            PROTO3,
            "color: 'COLOR_RED'",
            "1:8: expected the name or number of an enum's value in color",
        ),
        (PROTO2, "closed: 2", "1:9: the enum has no such value in closed"),
    ] {
        check_refused(name, text, expected);
    }
}

#[test]
fn strings_are_joined_and_unescaped() {
    for (text, expected) in [
        (
            r#"'a' "b" # c
           'd'"#,
            "abd",
        ),
        (r#"'\'"' "\"'""#, "'\"\"'"),
        (r"'\a\b\f\n\r\t\v\?\\'", "\x07\x08\x0c\n\r\t\x0b?\\"),
        (r"'\1018\x41g\X4a'", "A8AgJ"),
        (r"'\u00e9\U0001F44D'", "é👍"),
        (r"'\342\202' '\254'", "€"),
        ("'\r\t#x'", "\r\t#x"),
    ] {
        let message = parsed(PROTO3, &format!("string_field: {text}")).unwrap();
        assert_eq!(
            message.as_ref().get_named("string_field").unwrap().as_str(),
            Some(expected),
            "{text}"
        );
    }
    for (text, expected) in [
        ("'a", "1:15: a string does not end on its line"),
        ("'a\n'", "1:15: a string does not end on its line"),
        ("'a\\\n'", "1:17: an escape is not valid"),
        ("'a\\", "1:17: an escape is not valid"),
        (r"'\q'", "1:16: an escape is not valid"),
        (r"'\x'", "1:16: an escape is not valid"),
        (r"'\400'", "1:16: an escape is not valid"),
        (r"'\u12'", "1:16: an escape is not valid"),
        (r"'\U00110000'", "1:16: an escape is not valid"),
        (r"'\ud83d\udc4d'", "1:16: an escape is half of a surrogate pair"),
        (r"'\udc4d'", "1:16: an escape is half of a surrogate pair"),
        (r"'é\377'", "1:15: a string is not valid UTF-8"),
        ("'\0'", "1:16: a string holds a NUL that is not escaped"),
        ("abc", "1:15: expected a string"),
        ("{}", "1:15: expected a string"),
    ] {
        check_refused(
            PROTO3,
            &format!("string_field: {text}"),
            &format!("{expected} in string_field"),
        );
    }
    check(PROTO2, r"text: '\377'", r#"text: "\377""#);
}
