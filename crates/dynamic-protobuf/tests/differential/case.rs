//! A case: a schema, a message type of it and an encoded message, all made by one string of bytes; and how cases are run.

use crate::choices::Choices;
use crate::messages::{self, Encoded};
use crate::schemas;
use heddle_dynamic_protobuf::{Message, MessageDescriptor, Schema};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestError, TestRunner};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::FileDescriptorSet;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

/// How many cases each test runs, instead of [`CASES`].
const CASES_VARIABLE: &str = "HEDDLE_DIFFERENTIAL_CASES";
/// So many that all tests together take about a minute of a debug build.
const CASES: u32 = 1_000;
/// Choices for one case. A schema takes about 100, a message the rest.
const CHOICES: usize = 700;

/// A schema as both sides have it.
pub(crate) struct Schemas {
    pub(crate) set: FileDescriptorSet,
    pub(crate) ours: Schema,
    pub(crate) theirs: DescriptorPool,
    pub(crate) root: String,
    /// What was made of it, for the description of a failure.
    made: RefCell<Vec<Vec<u8>>>,
}

impl Schemas {
    pub(crate) fn new(choices: &mut Choices<'_>) -> Self {
        let (set, names) = schemas::descriptor_set(choices);
        let ours = Schema::from_descriptor_set(&set.encode_to_vec())
            .unwrap_or_else(|errors| panic!("a schema that was made valid is refused: {errors}\n{set:#?}"));
        let theirs = DescriptorPool::from_file_descriptor_set(set.clone())
            .unwrap_or_else(|error| panic!("prost-reflect refuses a schema: {error}\n{set:#?}"));
        let root = names[choices.below(names.len())].clone();
        let made = RefCell::default();
        Self {
            set,
            ours,
            theirs,
            root,
            made,
        }
    }

    pub(crate) fn root(&self) -> MessageDescriptor<'_> {
        self.ours
            .message(&self.root)
            .expect("the root is a message of the schema")
    }

    pub(crate) fn message(&self, choices: &mut Choices<'_>) -> Encoded {
        let encoded = messages::message(choices, self.root());
        self.made.borrow_mut().push(encoded.ours.clone());
        encoded
    }

    /// Decodes what was encoded for this engine.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Message, String> {
        let mut message = Message::new(self.root());
        message
            .decode(bytes)
            .map_err(|error| format!("failed to decode: {error}"))?;
        Ok(message)
    }

    /// Decodes what was encoded for prost-reflect.
    pub(crate) fn decode_theirs(&self, bytes: &[u8]) -> Result<DynamicMessage, String> {
        let descriptor = self
            .theirs
            .get_message_by_name(&self.root)
            .expect("both know the root");
        DynamicMessage::decode(descriptor, bytes)
            .map_err(|error| format!("prost-reflect failed to decode: {error}"))
    }
}

/// Runs a property on many cases, and fails with the smallest case on which it does not hold.
#[track_caller]
pub(crate) fn for_all_cases(property: impl Fn(&Schemas, &mut Choices<'_>) -> Result<(), String>) {
    let cases =
        std::env::var(CASES_VARIABLE).map_or(CASES, |cases| cases.parse().expect("a number of cases"));
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&vec(proptest::num::u8::ANY, 0..CHOICES), |bytes| {
        let mut choices = Choices::new(&bytes);
        let schemas = Schemas::new(&mut choices);
        property(&schemas, &mut choices).map_err(proptest::test_runner::TestCaseError::fail)
    });
    let Err(error) = result else {
        return;
    };
    match error {
        TestError::Fail(reason, bytes) => {
            let mut choices = Choices::new(&bytes);
            let schemas = Schemas::new(&mut choices);
            // Once more, for what it makes.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| property(&schemas, &mut choices)));
            panic!(
                "{reason}\nroot {}, messages {:02x?}\n{}",
                schemas.root,
                schemas.made.borrow(),
                crate::describe::files(&schemas.set)
            );
        }
        TestError::Abort(reason) => panic!("gave up: {reason}"),
    }
}
