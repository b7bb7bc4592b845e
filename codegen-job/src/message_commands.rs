//! The commands that work with messages: `decode`, `encode`, `get`, `set`, `diff`.

use clap::Args;
use heddle_codegen::messages::{
    Difference, Format, IdlRepoName, MESSAGE_BYTES, MessageError, SchemaError, differences, find_type, get,
    read, read_published, read_schema, set, write,
};
use heddle_dynamic_protobuf::json::FieldNames;
use heddle_dynamic_protobuf::{MessageDescriptor, Schema};
use heddle_telemetry::ErrorChain;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of `diff` for messages that differ, as that of diff.
const EXIT_DIFFERENT: u8 = 1;
/// Exit code of everything that fails, so that nobody takes it for a difference.
const EXIT_TROUBLE: u8 = 2;

/// Which schema and which type.
#[derive(Args)]
struct TypeArguments {
    /// A file with a descriptor set, as `protoc --include_imports --descriptor_set_out` and `buf build` write it.
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "idl_repo",
        conflicts_with = "idl_repo"
    )]
    descriptors: Option<PathBuf>,
    /// An IdlRepo whose published descriptor set to take, from the cluster that kubectl talks to.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    idl_repo: Option<IdlRepoName>,
    /// The message's full name, or its short one if no other type has it.
    #[arg(short, long = "type", value_name = "NAME")]
    type_name: String,
}

#[derive(Args)]
pub(crate) struct DecodeArguments {
    #[command(flatten)]
    schema: TypeArguments,
    /// What to write: json or text.
    #[arg(long, default_value_t = Format::Json)]
    format: Format,
    /// Write the names of fields as the .proto file has them, not in lowerCamelCase.
    #[arg(long)]
    proto_names: bool,
    #[command(flatten)]
    files: FileArguments,
}

#[derive(Args)]
pub(crate) struct EncodeArguments {
    #[command(flatten)]
    schema: TypeArguments,
    /// What to read: json or text.
    #[arg(long, default_value_t = Format::Json)]
    format: Format,
    #[command(flatten)]
    files: FileArguments,
}

#[derive(Args)]
pub(crate) struct GetArguments {
    #[command(flatten)]
    schema: TypeArguments,
    /// How the message is written: binary, json or text.
    #[arg(long, default_value_t = Format::Binary)]
    format: Format,
    /// Paths such as `customer.name`, `lines[-1].price` or `labels["color"]`; for each a line of JSON is printed.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    files: FileArguments,
}

#[derive(Args)]
pub(crate) struct SetArguments {
    #[command(flatten)]
    schema: TypeArguments,
    /// How the message is written, before and after: binary, json or text.
    #[arg(long, default_value_t = Format::Binary)]
    format: Format,
    /// Paths with values in JSON, such as `customer.port=443` or `lines[0]={"price": 5}`; null removes.
    #[arg(required = true, value_name = "PATH=VALUE")]
    assignments: Vec<String>,
    #[command(flatten)]
    files: FileArguments,
}

#[derive(Args)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    schema: TypeArguments,
    /// How the messages are written: binary, json or text.
    #[arg(long, default_value_t = Format::Binary)]
    format: Format,
    /// The first message.
    old: PathBuf,
    /// The second one.
    new: PathBuf,
}

#[derive(Args)]
struct FileArguments {
    /// The file to read; standard input, if absent.
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The file to write; standard output, if absent.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("failed to read {what}")]
    Read {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("failed to write {what}")]
    Write {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("failed to write a binary message to a terminal")]
    Terminal,
}

impl Trouble {
    fn hint(&self) -> &'static str {
        match self {
            Self::Schema(SchemaError::FindType { .. }) => "--type takes a full name such as shop.v1.Order",
            Self::Schema(SchemaError::Compile { .. }) => {
                "`protoc --include_imports --descriptor_set_out=FILE` writes a set with everything that it needs"
            }
            Self::Schema(_) => {
                "--descriptors takes a file, --idl-repo reads the ConfigMap NAME-descriptors with your kubeconfig"
            }
            Self::Message(MessageError::Decode { .. }) => {
                "is it of this --type? --format says how messages are written"
            }
            Self::Message(MessageError::CompilePath(_)) => {
                "segments are separated by dots; lists take [0] or [-1], maps a key such as [\"host\"] or [42]"
            }
            Self::Message(MessageError::ReadValue { .. } | MessageError::ReadAssignment(_)) => {
                "values are JSON; quote them for the shell, as in 'lines[0]={\"price\": 5}'"
            }
            Self::Message(_) => "--format says how messages are written: json, text or binary",
            Self::Terminal => "name a file with --output, or redirect",
            Self::Read { .. } | Self::Write { .. } => "--input and --output name files",
        }
    }
}

impl TypeArguments {
    async fn schema(&self) -> Result<Schema, Trouble> {
        Ok(match (&self.descriptors, &self.idl_repo) {
            (Some(path), _) => read_schema(path)?,
            (None, Some(idl_repo)) => read_published(idl_repo).await?,
            // clap sees to it that there is one of them.
            (None, None) => read_schema(&PathBuf::new())?,
        })
    }

    fn find<'s>(&self, schema: &'s Schema) -> Result<MessageDescriptor<'s>, Trouble> {
        Ok(find_type(schema, &self.type_name)?)
    }
}

impl FileArguments {
    fn name(&self) -> String {
        self.input
            .as_ref()
            .map_or("standard input".into(), |path| path.display().to_string())
    }

    fn read(&self) -> Result<Vec<u8>, Trouble> {
        let fail = |source| Trouble::Read {
            what: self.name(),
            source,
        };
        match &self.input {
            Some(path) => read_bounded(File::open(path).map_err(fail)?).map_err(fail),
            None => read_bounded(io::stdin().lock()).map_err(fail),
        }
    }

    fn write(&self, bytes: &[u8], format: Format) -> Result<(), Trouble> {
        let what = self
            .output
            .as_ref()
            .map_or("standard output".into(), |path| path.display().to_string());
        let fail = |source| Trouble::Write { what, source };
        match &self.output {
            Some(path) => std::fs::write(path, bytes).map_err(fail),
            None if format == Format::Binary && io::stdout().is_terminal() => Err(Trouble::Terminal),
            None => print(bytes).map_err(fail),
        }
    }
}

fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MESSAGE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > MESSAGE_BYTES {
        true => Err(io::Error::other(format!("more than {MESSAGE_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

/// A reader that has seen enough is no trouble.
fn print(bytes: &[u8]) -> io::Result<()> {
    match io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

pub(crate) async fn decode_message(arguments: &DecodeArguments) -> ExitCode {
    finish(
        async {
            let schema = arguments.schema.schema().await?;
            let descriptor = arguments.schema.find(&schema)?;
            let wire = read(
                descriptor,
                Format::Binary,
                arguments.files.read()?,
                &arguments.files.name(),
            )?;
            let names = match arguments.proto_names {
                true => FieldNames::Proto,
                false => FieldNames::Json,
            };
            let written = write(descriptor, arguments.format, names, &wire)?;
            arguments.files.write(&written, arguments.format)?;
            Ok(ExitCode::SUCCESS)
        }
        .await,
    )
}

pub(crate) async fn encode_message(arguments: &EncodeArguments) -> ExitCode {
    finish(
        async {
            let schema = arguments.schema.schema().await?;
            let descriptor = arguments.schema.find(&schema)?;
            let input = arguments.files.read()?;
            let wire = read(descriptor, arguments.format, input, &arguments.files.name())?;
            arguments.files.write(&wire, Format::Binary)?;
            Ok(ExitCode::SUCCESS)
        }
        .await,
    )
}

pub(crate) async fn get_values(arguments: &GetArguments) -> ExitCode {
    finish(
        async {
            let schema = arguments.schema.schema().await?;
            let descriptor = arguments.schema.find(&schema)?;
            let input = arguments.files.read()?;
            let wire = read(descriptor, arguments.format, input, &arguments.files.name())?;
            let mut lines = String::new();
            for path in &arguments.paths {
                lines.push_str(&get(descriptor, &wire, path)?);
                lines.push('\n');
            }
            arguments.files.write(lines.as_bytes(), Format::Json)?;
            Ok(ExitCode::SUCCESS)
        }
        .await,
    )
}

pub(crate) async fn set_values(arguments: &SetArguments) -> ExitCode {
    finish(
        async {
            let schema = arguments.schema.schema().await?;
            let descriptor = arguments.schema.find(&schema)?;
            let input = arguments.files.read()?;
            let wire = read(descriptor, arguments.format, input, &arguments.files.name())?;
            let changed = set(descriptor, &wire, &arguments.assignments)?;
            let written = write(descriptor, arguments.format, FieldNames::Json, &changed)?;
            arguments.files.write(&written, arguments.format)?;
            Ok(ExitCode::SUCCESS)
        }
        .await,
    )
}

pub(crate) async fn compare_messages(arguments: &DiffArguments) -> ExitCode {
    finish(
        async {
            let schema = arguments.schema.schema().await?;
            let descriptor = arguments.schema.find(&schema)?;
            let message = |path: &PathBuf| {
                let files = FileArguments {
                    input: Some(path.clone()),
                    output: None,
                };
                let wire = read(descriptor, arguments.format, files.read()?, &files.name())?;
                Ok::<_, Trouble>(wire)
            };
            let found = differences(descriptor, &message(&arguments.old)?, &message(&arguments.new)?)?;
            let lines: String = found.iter().map(lines).collect();
            print(lines.as_bytes()).map_err(|source| Trouble::Write {
                what: "standard output".into(),
                source,
            })?;
            Ok(match found.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(EXIT_DIFFERENT),
            })
        }
        .await,
    )
}

fn lines(difference: &Difference) -> String {
    let Difference { path, old, new } = difference;
    let line = |sign: char, value: &Option<String>| {
        let value = value.as_ref();
        value
            .map(|value| format!("{sign} {path}: {value}\n"))
            .unwrap_or_default()
    };
    line('-', old) + &line('+', new)
}

fn finish(result: Result<ExitCode, Trouble>) -> ExitCode {
    result.unwrap_or_else(|trouble| {
        eprintln!("error: {}\n\nhint: {}", ErrorChain(&trouble), trouble.hint());
        ExitCode::from(EXIT_TROUBLE)
    })
}
