//! Sets the deep scalar of a decoded message.

use anyhow::{Context, Result, bail};
use heddle_bench_worker::Case;
use heddle_dynamic_protobuf::{FieldDescriptor, Kind, MessageDescriptor, MessageMut, Scalar};

/// The way to a scalar in messages of one type.
pub(crate) struct Way<'s> {
    steps: Vec<(FieldDescriptor<'s>, Option<usize>)>,
}

impl<'s> Way<'s> {
    pub(crate) fn new(kind: MessageDescriptor<'s>, case: &Case) -> Result<Self> {
        let mut at = Some(kind);
        let mut steps = Vec::new();
        for step in &case.path {
            let field = at
                .and_then(|message| message.field(step.number))
                .context("no such field")?;
            at = field.message();
            steps.push((field, step.index));
        }
        Ok(Self { steps })
    }

    pub(crate) fn set(&self, message: MessageMut<'_>, value: i64) -> Result<()> {
        set(message, &self.steps, value)
    }
}

fn set(mut at: MessageMut<'_>, steps: &[(FieldDescriptor<'_>, Option<usize>)], value: i64) -> Result<()> {
    match *steps {
        [] => bail!("the path is empty"),
        [(field, _)] => at.set(field, scalar(field, value)?).context("failed to set"),
        [(field, None), ref rest @ ..] => set(at.message(field)?, rest, value),
        [(field, Some(index)), ref rest @ ..] => set(at.list(field)?.message(index)?, rest, value),
    }
}

fn scalar(field: FieldDescriptor<'_>, value: i64) -> Result<Scalar<'static>> {
    Ok(match field.kind() {
        Kind::Int32 => Scalar::I32(value.try_into()?),
        Kind::Uint32 => Scalar::U32(value.try_into()?),
        Kind::Uint64 => Scalar::U64(value.try_into()?),
        _ => Scalar::I64(value),
    })
}
