//! Reading, editing, trimming and merging against decode, modify and encode with prost-reflect.

use crate::messages::{Choices, change, mask_path, message, path};
use crate::oracle;
use heddle_dynamic_protobuf::Schema;
use heddle_dynamic_protobuf::edit::{Edit, EditError, Editor, Mask, Merger, Trimmer};
use heddle_dynamic_protobuf::path::{Path, PathSet};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _};
use std::sync::LazyLock;

pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let files = ["edits.proto", "edits_legacy.proto", "edits_strict.proto"];
    let set = protox::compile(files, ["tests/proto"]).unwrap();
    DescriptorPool::from_file_descriptor_set(set).unwrap()
});
pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::from_pool(&POOL).unwrap());

const TYPES: [&str; 2] = ["edits.Node", "edits.Legacy"];

/// How many generated cases each test looks at; the environment variable PROPTEST_CASES asks for another number.
const CASES: u32 = 2_000;

/// How often a failing case is made smaller at most: about half a minute in a debug build.
const MOST_SHRINKS: u32 = 10_000;

pub(crate) fn config() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: MOST_SHRINKS,
        ..ProptestConfig::default()
    };
    ProptestConfig {
        cases: if asked { default.cases } else { CASES },
        ..default
    }
}

/// How many bytes of choices a case is made from at most.
const MOST_CHOICES: usize = 600;

fn types(
    choices: &mut Choices<'_>,
) -> (
    MessageDescriptor,
    heddle_dynamic_protobuf::MessageDescriptor<'static>,
) {
    let name = TYPES[choices.below(TYPES.len())];
    (
        POOL.get_message_by_name(name).unwrap(),
        SCHEMA.message(name).unwrap(),
    )
}

fn decode(descriptor: &MessageDescriptor, bytes: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(descriptor.clone(), bytes).unwrap()
}

/// Equal up to zeros where presence is implicit, which encoding drops.
fn assert_same(left: &DynamicMessage, right: &DynamicMessage) -> Result<(), TestCaseError> {
    let descriptor = left.descriptor();
    let (one, other) = (
        decode(&descriptor, &left.encode_to_vec()),
        decode(&descriptor, &right.encode_to_vec()),
    );
    prop_assert!(one == other, "{left:#?}\n is not \n{right:#?}");
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_path_gets_what_decoding_and_reading_gets(input in vec(any::<u8>(), 0..MOST_CHOICES)) {
        let mut choices = Choices::new(&input);
        let (descriptor, root) = types(&mut choices);
        let steps: Vec<_> = (0..5).map(|_| path(&mut choices, &descriptor)).collect();
        let bytes = message(&mut choices, &descriptor, 4);
        let decoded = decode(&descriptor, &bytes);
        let mut paths = Vec::new();
        for steps in &steps {
            let text = oracle::text(steps);
            let path = Path::compile(root, &text).unwrap();
            let expected = oracle::get(&decoded, steps);
            let found = path.get(&bytes).unwrap();
            let found = found.as_ref().map(oracle::plain);
            prop_assert_eq!(&found, &expected, "{} in {:02x?}", text, &bytes);
            paths.push((path, expected));
        }
        let set = PathSet::new(&paths.iter().map(|(path, _)| path).collect::<Vec<_>>()).unwrap();
        let found = set.get_many(&bytes).unwrap();
        for (found, (path, expected)) in found.iter().zip(&paths) {
            prop_assert_eq!(&found.as_ref().map(oracle::plain), expected, "{} in {:02x?}", path, &bytes);
        }
    }

    #[test]
    fn edits_leave_what_decoding_editing_and_encoding_leaves(
        input in vec(any::<u8>(), 0..MOST_CHOICES),
    ) {
        let mut choices = Choices::new(&input);
        let (descriptor, root) = types(&mut choices);
        let count = 1 + choices.below(4);
        let changes: Vec<_> = (0..count).map(|_| {
            let steps = path(&mut choices, &descriptor);
            let change = change(&mut choices, &steps);
            (steps, change)
        }).collect();
        let bytes = message(&mut choices, &descriptor, 4);
        let mut expected = Ok(decode(&descriptor, &bytes));
        for (steps, change) in &changes {
            expected = expected.and_then(|mut message| oracle::apply(&mut message, steps, change).map(|()| message));
        }
        let paths: Vec<_> = changes.iter()
            .map(|(steps, _)| Path::compile(root, &oracle::text(steps)).unwrap()).collect();
        let values: Vec<_> = changes.iter().map(|(_, change)| oracle::values(change)).collect();
        let edits: Vec<Edit<'_>> = changes.iter().zip(&paths).zip(&values)
            .map(|(((_, change), path), values)| oracle::edit(change, path, values)).collect();
        let mut out = vec![1, 2, 3];
        let made = Editor::new().apply(&bytes, &edits, &mut out);
        match expected {
            Ok(expected) => {
                made.unwrap();
                let found = DynamicMessage::decode(descriptor.clone(), out.as_slice());
                prop_assert!(found.is_ok(), "{:?} of {:02x?} left {:02x?}", paths, &bytes, &out);
                assert_same(&found.unwrap(), &expected)?;
            }
            Err(oracle::OutOfRange) => {
                prop_assert!(matches!(made, Err(EditError::OutOfRange { .. })), "{:?}", made);
                prop_assert!(out.is_empty());
            }
        }
    }

    #[test]
    fn merging_leaves_what_decoding_both_leaves(
        input in vec(any::<u8>(), 0..MOST_CHOICES),
    ) {
        let mut choices = Choices::new(&input);
        let (descriptor, root) = types(&mut choices);
        let one = message(&mut choices, &descriptor, 4);
        let other = message(&mut choices, &descriptor, 4);
        let mut expected = decode(&descriptor, &one);
        expected.merge(other.as_slice()).unwrap();
        let mut out = Vec::new();
        Merger::new(root).merge(&one, &other, &mut out).unwrap();
        assert_same(&decode(&descriptor, &out), &expected)?;
    }

    #[test]
    fn trimming_by_mask_leaves_what_decoding_and_choosing_leaves(
        input in vec(any::<u8>(), 0..MOST_CHOICES),
    ) {
        let mut choices = Choices::new(&input);
        let (descriptor, root) = types(&mut choices);
        let count = choices.below(5);
        let paths: Vec<_> = (0..count).map(|_| mask_path(&mut choices, &descriptor)).collect();
        let texts: Vec<_> = paths.iter().map(|path| oracle::mask_text(path)).collect();
        let mask = Mask::parse(root, &texts.join(",")).unwrap();
        let bytes = message(&mut choices, &descriptor, 4);
        let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
        let expected = oracle::trim(&decode(&descriptor, &bytes), &paths);
        let mut out = Vec::new();
        Trimmer::new().trim(&bytes, &mask, &mut out).unwrap();
        let found = DynamicMessage::decode(descriptor.clone(), out.as_slice());
        prop_assert!(found.is_ok(), "{:?} of {:02x?} left {:02x?}", texts, &bytes, &out);
        assert_same(&found.unwrap(), &expected)?;
    }

    #[test]
    fn trimming_by_a_narrower_type_leaves_what_that_type_reads(
        input in vec(any::<u8>(), 0..MOST_CHOICES),
    ) {
        let wide = POOL.get_message_by_name("edits.Node").unwrap();
        let narrow = POOL.get_message_by_name("edits.Narrow").unwrap();
        let mask = Mask::narrower(SCHEMA.message("edits.Node").unwrap(), SCHEMA.message("edits.Narrow").unwrap());
        prop_assert_eq!(mask.incompatible(), ["edits.Narrow.signed", "edits.Narrow.counts"]);
        let bytes = message(&mut Choices::new(&input), &wide, 4);
        let expected = oracle::narrow(&decode(&wide, &bytes), &narrow, &["signed", "counts"]);
        let mut out = Vec::new();
        Trimmer::new().trim(&bytes, &mask, &mut out).unwrap();
        assert_same(&decode(&narrow, &out), &expected)?;
    }
}
