//! A Git server with a source and an output repository, and the program started as the Job starts it.

use heddle_crds::codegen::Report;
use heddle_crds::idl_repo::Reason;
use heddle_git_server::{BareRepository, GitServer, GitServerOptions};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of the only account, which no output may repeat.
pub(crate) const PASSWORD: &str = "canary-7f3a91";
/// For conditions that hold within milliseconds unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);
pub(crate) const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

pub(crate) const PET: (&str, &str) = (
    "zoo/v1/pet.proto",
    "syntax = \"proto3\";\npackage zoo.v1;\noption go_package = \"example.com/zoo/v1;zoov1\";\n\
     // Somebody's animal.\nmessage Pet { string name = 1; }\nservice Keeper { rpc Feed(Pet) returns (Pet); }\n",
);
pub(crate) const FOOD: (&str, &str) = (
    "zoo/food/v1/food.proto",
    "syntax = \"proto3\";\npackage zoo.food.v1;\noption go_package = \"example.com/zoo/food/v1;foodv1\";\nmessage Food { optional int32 grams = 1; }\n",
);

pub(crate) const PROST: &str = "{name: rust, plugin: prost, path: rust}";

/// Everything that a run needs.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) server: GitServer,
    pub(crate) source: BareRepository,
    pub(crate) output: BareRepository,
    /// What is asked for besides the generators, as YAML of `spec.source` and `spec.output`.
    pub(crate) source_fields: String,
    pub(crate) output_fields: String,
    pub(crate) generate: Vec<String>,
    pub(crate) source_url: String,
    pub(crate) output_url: String,
    /// Networks not to connect to.
    pub(crate) denied: &'static str,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) report: Option<Report>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    /// A source with two files, an empty output, and the generator prost.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = GitServerOptions::new(&folder.path().join("server"));
        options.accounts = vec![format!("robot:{PASSWORD}:write").parse().unwrap()];
        let server = GitServer::start(options).unwrap();
        let (source, output) = (
            server.repository("idl.git").unwrap(),
            server.repository("code.git").unwrap(),
        );
        let secret = folder.path().join("secret");
        fs::create_dir(&secret).unwrap();
        for (key, value) in [
            ("username", "robot"),
            ("password", PASSWORD),
            ("ca.crt", server.ca_pem()),
        ] {
            fs::write(secret.join(key), value).unwrap();
        }
        fs::create_dir(folder.path().join("plugins")).unwrap();
        fs::create_dir(folder.path().join("work")).unwrap();
        let stage = Self {
            source_url: server.url("idl.git"),
            output_url: server.url("code.git"),
            folder,
            server,
            source,
            output,
            source_fields: String::new(),
            output_fields: String::new(),
            generate: vec![PROST.into()],
            denied: "",
        };
        stage.commit("Describe pets", &[PET, FOOD]);
        stage
    }

    /// Commits IDL to the source's main branch.
    pub(crate) fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, Some(text.as_bytes())))
            .collect();
        self.source.commit("main", message, &files).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds an executable to the plugin folder.
    pub(crate) fn plugin(&self, name: &str, script: &str) {
        let path = self.path("plugins").join(format!("protoc-gen-{name}"));
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn write_request(&self) -> PathBuf {
        let text = format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: IdlRepo\nmetadata: {{name: zoo, namespace: pets}}\nspec:\n  \
             source:\n    url: {}\n{}\n  generate:\n{}\n  output:\n    url: {}\n{}\n",
            self.source_url,
            self.source_fields,
            self.generate
                .iter()
                .map(|one| format!("  - {one}\n"))
                .collect::<String>(),
            self.output_url,
            self.output_fields,
        );
        let path = self.path("idlrepo.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    /// The command line of a subcommand, with everything that the Job gives it.
    pub(crate) fn command(&self, subcommand: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heddle-codegen"));
        command
            .arg(subcommand)
            .arg("-f")
            .arg(self.write_request())
            .arg("--source-secret")
            .arg(self.path("secret"))
            .arg("--work-folder")
            .arg(self.path("work"))
            .arg(format!("--denied-cidrs={}", self.denied))
            .args(arguments)
            .env("TRACEPARENT", format!("00-{TRACE_ID}-00f067aa0ba902b7-01"))
            .env("CANARY", PASSWORD)
            .env("HEDDLE_PLUGIN_FOLDER", self.path("plugins"))
            .env_remove("HEDDLE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if subcommand == "run" {
            command
                .arg("--output-secret")
                .arg(self.path("secret"))
                .arg("--termination-message")
                .arg(self.path("report.json"));
        }
        command
    }

    pub(crate) fn run(&self) -> Ended {
        self.run_with(&[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str]) -> Ended {
        let report = self.path("report.json");
        fs::remove_file(&report).ok();
        let output = self.command("run", arguments).output().unwrap();
        Ended::new(output, &report)
    }

    /// Runs, and expects a new commit or none.
    pub(crate) fn deliver(&self) -> Report {
        let ended = self.run();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let report = ended.report.unwrap();
        assert_eq!(report.error, None);
        report
    }

    /// The files of the output's main branch as text.
    pub(crate) fn delivered(&self) -> Vec<(String, String)> {
        let files = self.output.files("main").unwrap();
        files
            .into_iter()
            .map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap()))
            .collect()
    }

    pub(crate) fn delivered_paths(&self) -> Vec<String> {
        self.delivered().into_iter().map(|(path, _)| path).collect()
    }
}

impl Ended {
    pub(crate) fn new(output: Output, report: &Path) -> Self {
        let text = fs::read_to_string(report).ok();
        let ended = Self {
            code: output.status.code(),
            report: text.as_deref().and_then(Report::from_termination_message),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let all = format!("{}{}{}", ended.stdout, ended.stderr, text.unwrap_or_default());
        assert!(!all.contains(PASSWORD), "a secret got out: {all}");
        ended
    }

    /// Expects a failure with this reason, and each of `parts` in its message.
    pub(crate) fn expect_failure(&self, reason: Reason, parts: &[&str]) {
        let error = self.report.as_ref().and_then(|report| report.error.as_ref());
        let error = error.unwrap_or_else(|| panic!("no failure: {self:#?}"));
        assert_eq!(error.reason, reason, "{self:#?}");
        for part in parts {
            assert!(
                error.message.contains(part),
                "expected {part:?} in {}",
                error.message
            );
        }
        let code = heddle_crds::codegen::exit_code(reason);
        assert_eq!(self.code, Some(code), "{self:#?}");
    }

    /// The lines of the log.
    pub(crate) fn log(&self) -> Vec<serde_json::Value> {
        self.stderr
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }
}

/// Waits until `condition` holds.
pub(crate) fn await_condition(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// Whether some process has `mark` in its command line. Those that come and go while we look are left out.
pub(crate) fn is_running(mark: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark))
    })
}

/// The folder with the plugins for Go, built once as the image's are.
pub(crate) fn go_plugins() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("go-plugins");
        let status = Command::new("go")
            .args(["install", "-trimpath", "tool"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/go"))
            .env("GOBIN", &folder)
            .env("GOFLAGS", "-mod=readonly")
            .env("CGO_ENABLED", "0")
            .status()
            .expect("Go is needed to build its plugins");
        assert!(status.success());
        folder
    })
}
