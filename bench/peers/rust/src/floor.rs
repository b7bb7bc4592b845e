//! No engine: what the same bytes cost anybody.

use anyhow::{Context, Result, ensure};
use heddle_bench_worker::{Case, Engine, Operation, Perform, Step};
use std::hint::black_box;

pub(crate) struct Floor;

impl Engine for Floor {
    fn prepare<'a>(&'a self, operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
        Ok(Some(match operation {
            Operation::Get => Box::new(|output| {
                output.number = scan(black_box(&case.wire), &case.path)?.context("nothing was found")?;
                Ok(())
            }),
            Operation::Set => Box::new(|output| {
                output.bytes.clear();
                output.bytes.extend_from_slice(black_box(&case.wire));
                black_box(&output.bytes);
                Ok(())
            }),
            Operation::ToJson => {
                let tree: sonic_rs::Value = sonic_rs::from_slice(&case.json)?;
                Box::new(move |output| {
                    output.bytes.clear();
                    sonic_rs::to_writer(&mut output.bytes, &tree).context("failed to write")
                })
            }
            Operation::FromJson => Box::new(|_| {
                let tree: sonic_rs::Value = sonic_rs::from_slice(black_box(&case.json))?;
                black_box(tree);
                Ok(())
            }),
            _ => return Ok(None),
        }))
    }
}

/// The varint at the end of the path: the element that is asked for of a repeated field, the last one of any other.
fn scan(mut bytes: &[u8], path: &[Step]) -> Result<Option<u64>> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(None);
    };
    let (mut seen, mut found) = (0, None);
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let is_meant = tag >> 3 == u64::from(step.number);
        match tag & 7 {
            0 => {
                let value = varint(&mut bytes)?;
                if is_meant {
                    found = Some(value);
                }
            }
            2 => {
                let length = varint(&mut bytes)? as usize;
                let (content, after) = bytes.split_at_checked(length).context("truncated")?;
                bytes = after;
                if !is_meant {
                    continue;
                }
                match step.index {
                    Some(index) if seen == index => return scan(content, rest),
                    Some(_) => seen += 1,
                    None => found = scan(content, rest)?.or(found),
                }
            }
            wire_type => {
                let length = if wire_type == 1 { 8 } else { 4 };
                ensure!(wire_type == 1 || wire_type == 5, "a group or no wire type");
                bytes = bytes.get(length..).context("truncated")?;
            }
        }
    }
    Ok(found)
}

#[inline(always)]
fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().context("truncated")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    anyhow::bail!("a varint is too long")
}
