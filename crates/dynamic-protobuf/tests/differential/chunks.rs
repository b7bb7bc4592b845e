//! JSON in chunks against JSON in one piece, cut at every byte.

use crate::case::{Schemas, for_all_cases};
use heddle_dynamic_protobuf::json::{
    ChunkedJsonParser, ChunkedJsonPrinter, JsonError, JsonErrorKind, ParseOptions, PrintOptions, from_json,
    to_json,
};

/// The piece sizes that an input is cut into: byte by byte, and in two at each place.
fn splits(len: usize) -> impl Iterator<Item = Vec<usize>> {
    std::iter::once(vec![1; len]).chain((0..=len).map(move |at| vec![at, len - at]))
}

fn print(schemas: &Schemas, wire: &[u8], pieces: &[usize]) -> Result<Vec<u8>, JsonError> {
    let mut printer = ChunkedJsonPrinter::new(schemas.root(), PrintOptions::default());
    let (mut rest, mut out) = (wire, Vec::new());
    for piece in pieces {
        let (chunk, after) = rest.split_at(*piece);
        rest = after;
        printer.push(chunk, &mut out)?;
    }
    printer.finish(&mut out).map(|()| out)
}

fn parse(schemas: &Schemas, text: &[u8], pieces: &[usize]) -> Result<Vec<u8>, JsonError> {
    let mut parser = ChunkedJsonParser::new(schemas.root(), ParseOptions::default());
    let (mut rest, mut out) = (text, Vec::new());
    for piece in pieces {
        let (chunk, after) = rest.split_at(*piece);
        rest = after;
        parser.push(chunk, &mut out)?;
    }
    parser.finish(&mut out).map(|()| out)
}

fn tree(text: &[u8]) -> Result<serde_json::Value, String> {
    serde_json::from_slice(text).map_err(|error| format!("{error} in {}", String::from_utf8_lossy(text)))
}

fn deterministic(schemas: &Schemas, wire: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    schemas.decode(wire)?.encode_deterministic_into(&mut out);
    Ok(out)
}

#[test]
fn json_is_printed_the_same_however_the_message_is_cut() {
    for_all_cases(|schemas, choices| {
        let wire = schemas.message(choices).ours;
        let mut whole = Vec::new();
        to_json(schemas.root(), &wire, &mut whole).map_err(|error| error.to_string())?;
        for pieces in splits(wire.len()) {
            match print(schemas, &wire, &pieces) {
                // Members may come in another order: that of the schema in one piece, that of the wire in chunks.
                Ok(text) if tree(&text)? == tree(&whole)? => {}
                Err(error) if error.kind() == JsonErrorKind::NotInOrder => {}
                other => {
                    let other = other.map(|text| String::from_utf8_lossy(&text).into_owned());
                    return Err(format!(
                        "{other:?} in pieces {pieces:?}, not {}",
                        String::from_utf8_lossy(&whole)
                    ));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_message_in_the_order_of_encoders_is_printed_in_chunks() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        if encoded.ours != encoded.theirs {
            // Unknown numbers of a closed enum stand apart from its known ones.
            return Ok(());
        }
        let wire = deterministic(schemas, &encoded.ours)?;
        let mut whole = Vec::new();
        to_json(schemas.root(), &wire, &mut whole).map_err(|error| error.to_string())?;
        let text = print(schemas, &wire, &vec![1; wire.len()]).map_err(|error| error.to_string())?;
        if text == whole {
            Ok(())
        } else {
            Err(format!("{}", String::from_utf8_lossy(&text)))
        }
    });
}

#[test]
fn json_parses_to_the_same_message_however_the_text_is_cut() {
    for_all_cases(|schemas, choices| {
        let mut text = Vec::new();
        to_json(schemas.root(), &schemas.message(choices).ours, &mut text)
            .map_err(|error| error.to_string())?;
        let mut whole = Vec::new();
        from_json(schemas.root(), &text, &mut whole).map_err(|error| error.to_string())?;
        let expected = deterministic(schemas, &whole)?;
        for pieces in splits(text.len()) {
            let wire = parse(schemas, &text, &pieces).map_err(|error| {
                format!(
                    "{error} in pieces {pieces:?} of {}",
                    String::from_utf8_lossy(&text)
                )
            })?;
            if deterministic(schemas, &wire)? != expected {
                return Err(format!(
                    "{wire:02x?} in pieces {pieces:?} of {}",
                    String::from_utf8_lossy(&text)
                ));
            }
        }
        Ok(())
    });
}

#[test]
fn text_that_is_damaged_is_refused_in_chunks_as_in_one_piece() {
    for_all_cases(|schemas, choices| {
        let mut text = Vec::new();
        to_json(schemas.root(), &schemas.message(choices).ours, &mut text)
            .map_err(|error| error.to_string())?;
        crate::decode::damage(choices, &mut text);
        let mut whole = Vec::new();
        let expected = from_json(schemas.root(), &text, &mut whole).map_err(|error| error.to_string());
        let pieces = vec![1; text.len()];
        let found = parse(schemas, &text, &pieces).map_err(|error| error.to_string());
        match (expected, found) {
            (Err(_), Err(_)) => Ok(()),
            (Ok(()), Ok(wire)) if deterministic(schemas, &wire)? == deterministic(schemas, &whole)? => Ok(()),
            (expected, found) => Err(format!(
                "{found:?}, not {expected:?} of {}",
                String::from_utf8_lossy(&text)
            )),
        }
    });
}
