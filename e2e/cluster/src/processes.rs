//! Starts the node's components, and finds them again.
//!
//! Every component carries two variables in its environment: which cluster it belongs to and which
//! component it is. A process id on file counts only while that process carries them, so a recycled id is never
//! signalled; and a scan for the first variable finds every component and shim, whatever became of the files.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::layout::Layout;
use crate::wait::{Look, until};

const CLUSTER_VARIABLE: &str = "HEDDLE_CLUSTER";
const COMPONENT_VARIABLE: &str = "HEDDLE_COMPONENT";
/// Debian's own, since the caller's may lack the folders of administration tools.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starting another program and ending take microseconds, unless the host is very busy.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// A long-running program of the node.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    /// Short name, also of its log and its process id's file.
    pub(crate) name: &'static str,
    /// The executable and its arguments.
    pub(crate) command: Vec<String>,
}

impl Component {
    /// Starts the component in the node's network namespace and a session of its own: the cluster stays up
    /// when the command that made it ends, and interrupting that command does not reach it.
    ///
    /// # Errors
    /// When its log or the process cannot be made.
    pub(crate) fn start(&self, layout: &Layout) -> Result<()> {
        let context = || format!("failed to start {}", self.name);
        let log = create(&layout.log(self.name)).with_context(context)?;
        let mut command = Command::new("setsid");
        command
            .arg("nsenter")
            .arg(format!("--net={}", layout.network_namespace().display()))
            .arg("--")
            .args(&self.command)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("HOME", "/")
            .env(CLUSTER_VARIABLE, layout.state())
            .env(COMPONENT_VARIABLE, self.name)
            .stdin(Stdio::null())
            .stdout(log.try_clone().with_context(context)?)
            .stderr(log);
        let child = command.spawn().with_context(context)?;
        let file = layout.at_state(&format!("pids/{}", self.name));
        create(&file)
            .and_then(|_| Ok(fs::write(&file, format!("{}\n", child.id()))?))
            .with_context(context)
    }

    /// True while the process on file is this component of this cluster.
    pub(crate) fn is_alive(&self, layout: &Layout) -> bool {
        let file = fs::read_to_string(layout.at_state(&format!("pids/{}", self.name)));
        let Some(pid) = file.ok().and_then(|text| text.trim().parse().ok()) else {
            return false;
        };
        let environment = settled_environment(pid);
        holds(
            &environment,
            CLUSTER_VARIABLE,
            layout.state().as_os_str().as_encoded_bytes(),
        ) && holds(&environment, COMPONENT_VARIABLE, self.name.as_bytes())
    }
}

/// The environment of a process, empty when it has ended. It is empty for a moment as well while the process turns
/// into another program, and while it ends but still holds its sockets; both are waited for.
fn settled_environment(pid: i32) -> Vec<u8> {
    let look = || match environment(pid) {
        bytes if bytes.is_empty() && !has_ended(pid) => Look::NotYet(String::new()),
        bytes => Look::Done(bytes),
    };
    until("a process to settle", SETTLE_LIMIT, || Ok(look())).unwrap_or_default()
}

/// A zombie has given up everything but its number.
pub(crate) fn has_ended(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state is in brackets and may itself contain some.
    let state = status
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim_start().chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

fn create(file: &Path) -> Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(File::options().create(true).append(true).open(file)?)
}

/// Every process that was started for this cluster, by the variable it inherited.
pub(crate) fn of_cluster(layout: &Layout) -> Vec<i32> {
    let state = layout.state().as_os_str().as_encoded_bytes();
    all()
        .into_iter()
        .filter(|pid| holds(&environment(*pid), CLUSTER_VARIABLE, state))
        .collect()
}

fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn environment(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

fn holds(environment: &[u8], name: &str, value: &[u8]) -> bool {
    let wanted = [name.as_bytes(), b"=", value].concat();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == wanted)
}

/// Ends a process at once, and collects it where it is a child of ours.
pub(crate) fn end(pid: i32) {
    let pid = Pid::from_raw(pid);
    // Either may fail because the process is gone already, which is the aim.
    let _ = kill(pid, Signal::SIGKILL);
    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_counts_only_whole() {
        let environment = b"HOME=/\0HEDDLE_CLUSTER=/src/.heddle/cluster\0";
        assert!(holds(environment, "HEDDLE_CLUSTER", b"/src/.heddle/cluster"));
        assert!(!holds(environment, "HEDDLE_CLUSTER", b"/src/.heddle"));
        assert!(!holds(environment, "CLUSTER", b"/src/.heddle/cluster"));
    }

    #[test]
    fn a_dead_process_has_ended_and_has_no_environment() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert!(has_ended(pid));
        assert!(settled_environment(pid).is_empty());
    }

    #[test]
    fn a_zombie_has_ended() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        until("the zombie", SETTLE_LIMIT, || {
            Ok(if has_ended(pid) {
                Look::Done(())
            } else {
                Look::NotYet("it lives".to_owned())
            })
        })
        .unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_live_process_has_the_environment_it_was_given() {
        let mut child = Command::new("cat")
            .env("HEDDLE_TEST", "x")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let environment = settled_environment(i32::try_from(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(holds(&environment, "HEDDLE_TEST", b"x"));
    }
}
