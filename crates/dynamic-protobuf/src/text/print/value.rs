//! Values without a field's name before them, on one line.

use super::{Printer, Step, ascending};
use crate::message::Value;

impl Printer<'_> {
    pub(super) fn value(&mut self, value: Value<'_>) -> Step {
        match value {
            Value::Message(message) => self.braced(|printer| printer.message(message)),
            Value::List(list) => self.bracketed_all(list.iter(), Self::value),
            Value::Map(map) => self.bracketed_all(ascending(map), |printer, (key, value)| {
                printer.braced(|printer| {
                    printer.out.push_str(" key: ");
                    printer.value(key)?;
                    printer.out.push_str(" value: ");
                    printer.value(value)
                })
            }),
            scalar => {
                self.scalar(scalar);
                self.end()
            }
        }
    }

    fn bracketed_all<T>(
        &mut self,
        elements: impl Iterator<Item = T>,
        write: impl Fn(&mut Self, T) -> Step,
    ) -> Step {
        self.out.push('[');
        for (index, element) in elements.enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            write(self, element)?;
        }
        self.out.push(']');
        Ok(())
    }
}
