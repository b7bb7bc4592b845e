//! Decoding and encoding whole messages.

use crate::case::{Schemas, for_all_cases};
use crate::choices::Choices;
use crate::compare;
use crate::messages::Encoded;
use bytes::Bytes;
use heddle_dynamic_protobuf::Message;
use prost::Message as _;

#[test]
fn every_field_decodes_to_what_prost_reflect_reads() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        let theirs = schemas.decode_theirs(&encoded.theirs)?;
        compare::message(schemas.decode(&encoded.ours)?.as_ref(), &theirs)
    });
}

#[test]
fn storage_that_is_used_again_holds_nothing_of_the_message_before() {
    for_all_cases(|schemas, choices| {
        let mut reused = Message::new(schemas.root());
        for _ in 0..3 {
            let encoded = schemas.message(choices);
            let theirs = schemas.decode_theirs(&encoded.theirs)?;
            let decoded = if choices.percent(50) {
                reused.decode_shared(Bytes::copy_from_slice(&encoded.ours))
            } else {
                reused.decode(&encoded.ours)
            };
            decoded.map_err(|error| error.to_string())?;
            compare::message(reused.as_ref(), &theirs)?;
        }
        Ok(())
    });
}

#[test]
fn what_is_encoded_decodes_to_the_same_message_with_the_same_unknown_fields() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        let message = schemas.decode(&encoded.ours)?;
        let mut deterministic = Vec::new();
        message.encode_deterministic_into(&mut deterministic);
        for bytes in [message.encode_to_vec(), deterministic] {
            read_again(schemas, &encoded, &message, &bytes)?;
        }
        Ok(())
    });
}

fn read_again(schemas: &Schemas, encoded: &Encoded, message: &Message, bytes: &[u8]) -> Result<(), String> {
    let again = schemas.decode(bytes)?;
    compare::message(again.as_ref(), &schemas.decode_theirs(&encoded.theirs)?)?;
    let unknown =
        |message: &Message| -> Vec<u8> { message.as_ref().unknown_fields().flatten().copied().collect() };
    if unknown(&again) != unknown(message) {
        return Err(format!(
            "unknown fields are {:?}, not {:?}",
            unknown(&again),
            unknown(message)
        ));
    }
    if encoded.ours == encoded.theirs {
        compare::message(message.as_ref(), &schemas.decode_theirs(bytes)?)?;
    }
    Ok(())
}

#[test]
fn equal_messages_have_one_deterministic_encoding() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        if encoded.ours != encoded.theirs {
            return Ok(());
        }
        let mut message = schemas.decode(&encoded.ours)?;
        message.as_mut().clear_unknown_fields();
        let mut theirs = schemas.decode_theirs(&encoded.theirs)?;
        let unknown: Vec<u32> = theirs.unknown_fields().map(|field| field.number()).collect();
        if !unknown.is_empty() {
            theirs.take_unknown_fields().for_each(drop);
        }
        let other = schemas.decode(&theirs.encode_to_vec())?;
        let (mut one, mut two) = (Vec::new(), Vec::new());
        message.encode_deterministic_into(&mut one);
        other.encode_deterministic_into(&mut two);
        if one != two && message.as_ref() == other.as_ref() {
            return Err(format!("encoded as {one:?} and as {two:?}"));
        }
        Ok(())
    });
}

#[test]
fn damaged_messages_are_refused_or_decode_to_something_that_encodes() {
    for_all_cases(|schemas, choices| {
        let mut bytes = schemas.message(choices).ours;
        for _ in 0..=choices.below(3) {
            damage(choices, &mut bytes);
        }
        let mut message = Message::new(schemas.root());
        match message.decode(&bytes) {
            Err(error) if error.offset() > bytes.len() => Err(format!("{error} past the end")),
            Err(_) => Ok(()),
            Ok(()) => {
                let again = schemas.decode(&message.encode_to_vec())?;
                let once_more = again.encode_to_vec();
                if schemas.decode(&once_more)?.encode_to_vec() == once_more {
                    Ok(())
                } else {
                    Err("encoding is not stable".to_owned())
                }
            }
        }
    });
}

pub(crate) fn damage(choices: &mut Choices<'_>, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return bytes.push(choices.byte());
    }
    let at = choices.below(bytes.len());
    match choices.below(4) {
        0 => bytes.truncate(at),
        1 => bytes[at] = choices.byte(),
        2 => bytes.insert(at, choices.byte()),
        _ => drop(bytes.remove(at)),
    }
}

#[test]
fn a_message_cut_at_any_byte_is_refused_or_shorter() {
    for_all_cases(|schemas, choices| {
        let bytes = schemas.message(choices).ours;
        let mut message = Message::new(schemas.root());
        for cut in 0..bytes.len() {
            if let Err(error) = message.decode(&bytes[..cut])
                && error.offset() > cut
            {
                return Err(format!("{error}, which is past the cut at {cut}"));
            }
        }
        Ok(())
    });
}
