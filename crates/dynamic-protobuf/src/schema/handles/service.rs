//! Services and their methods.

use super::super::tables::ServiceTable;
use super::{FileDescriptor, MessageDescriptor, ServiceDescriptor};

impl<'s> ServiceDescriptor<'s> {
    pub(super) fn table(self) -> &'s ServiceTable {
        &self.schema.tables().services[self.index as usize]
    }

    /// Its name with the package.
    pub fn full_name(self) -> &'s str {
        &self.table().full_name
    }

    /// The last part of its name.
    pub fn name(self) -> &'s str {
        &self.table().full_name[self.table().name_at as usize..]
    }

    /// The file that declares it.
    pub fn file(self) -> FileDescriptor<'s> {
        FileDescriptor::new(self.schema, self.table().file)
    }

    /// Its methods in the order of declaration.
    pub fn methods(self) -> impl ExactSizeIterator<Item = MethodDescriptor<'s>> {
        self.table().methods.iter().map(move |method| MethodDescriptor {
            name: &method.name,
            input: MessageDescriptor::new(self.schema, method.input),
            output: MessageDescriptor::new(self.schema, method.output),
            client_streaming: method.client_streaming,
            server_streaming: method.server_streaming,
        })
    }
}

/// One method of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodDescriptor<'s> {
    name: &'s str,
    input: MessageDescriptor<'s>,
    output: MessageDescriptor<'s>,
    client_streaming: bool,
    server_streaming: bool,
}

impl<'s> MethodDescriptor<'s> {
    /// Its name.
    pub fn name(self) -> &'s str {
        self.name
    }

    /// The request's type.
    pub fn input(self) -> MessageDescriptor<'s> {
        self.input
    }

    /// The response's type.
    pub fn output(self) -> MessageDescriptor<'s> {
        self.output
    }

    /// Whether the client sends a stream.
    pub fn is_client_streaming(self) -> bool {
        self.client_streaming
    }

    /// Whether the server sends a stream.
    pub fn is_server_streaming(self) -> bool {
        self.server_streaming
    }
}
