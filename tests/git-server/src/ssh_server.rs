//! Debian's sshd on loopback, with keys made for the occasion.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User};

use crate::BareRepository;
use crate::command::{environment, run, run_text};

/// Where Debian's packages put it; sshd insists on being called by its full path.
const SSHD: &str = "/usr/sbin/sshd";
/// Where sshd, run by root, confines its unprivileged half.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// A running sshd that lets the current user in by one key, and serves the repositories below its data folder.
pub struct SshServer {
    address: SocketAddr,
    user: String,
    directory: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SshServer {
    /// Makes keys and starts sshd, whose files and repositories go into `directory`.
    ///
    /// # Errors
    /// openssh-server is not installed; the error says how to install it. Or the folder is not writable.
    pub fn start(directory: &Path) -> Result<Self> {
        Self::start_with(directory, &[])
    }

    /// [`Self::start`] with git settings for every command, such as `uploadpack.packObjectsHook`.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_with(directory: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        if !Path::new(SSHD).exists() {
            bail!("{SSHD} is missing; on Debian: apt-get install openssh-server");
        }
        fs::create_dir_all(directory).context("failed to create sshd's folder")?;
        for key in ["host_key", "user_key", "other_key"] {
            make_key(&directory.join(key), "")?;
        }
        fs::copy(directory.join("user_key.pub"), directory.join("authorized_keys"))
            .context("failed to authorize the user's key")?;
        let user = User::from_uid(Uid::effective())?.context("the current user has no name")?;
        prepare_privilege_separation()?;
        let configuration = directory.join("sshd_config");
        fs::write(&configuration, sshd_config(directory, settings)).context("failed to write sshd_config")?;
        run(Command::new(SSHD).arg("-t").arg("-f").arg(&configuration))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("failed to listen")?;
        let address = listener
            .local_addr()
            .context("failed to read the address listened on")?;
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("ssh-server".to_owned()).spawn({
            let stopping = Arc::clone(&stopping);
            move || accept(&listener, &configuration, &stopping)
        });
        let thread = Some(thread.context("failed to start a thread")?);
        Ok(Self {
            address,
            user: user.name,
            directory: directory.to_path_buf(),
            stopping,
            thread,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a repository below the data folder.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        let path = self.directory.join("repositories").join(repository);
        format!("ssh://{}@{}{}", self.user, self.address, path.display())
    }

    /// A repository on the server's disk, created when missing.
    ///
    /// # Errors
    /// Git fails.
    pub fn repository(&self, name: &str) -> Result<BareRepository> {
        BareRepository::create(&self.directory.join("repositories").join(name))
    }

    /// The private key that is let in.
    ///
    /// # Errors
    /// The file is gone.
    pub fn identity(&self) -> Result<String> {
        self.read("user_key")
    }

    /// A private key that is not let in.
    ///
    /// # Errors
    /// The file is gone.
    pub fn other_identity(&self) -> Result<String> {
        self.read("other_key")
    }

    /// [`Self::identity`] encrypted with `passphrase`.
    ///
    /// # Errors
    /// ssh-keygen fails.
    pub fn encrypted_identity(&self, passphrase: &str) -> Result<String> {
        let path = self.directory.join("encrypted_key");
        fs::copy(self.directory.join("user_key"), &path).context("failed to copy a key")?;
        let arguments = ["-q", "-p", "-P", "", "-N", passphrase, "-f"];
        run(Command::new("ssh-keygen").args(arguments).arg(&path))?;
        self.read("encrypted_key")
    }

    /// The line of `known_hosts` for this server.
    ///
    /// # Errors
    /// The file is gone.
    pub fn known_hosts(&self) -> Result<String> {
        self.known_hosts_with("host_key.pub")
    }

    /// A line of `known_hosts` with a key that is not this server's.
    ///
    /// # Errors
    /// The file is gone.
    pub fn wrong_known_hosts(&self) -> Result<String> {
        self.known_hosts_with("other_key.pub")
    }

    /// The SHA-256 fingerprint of the host key as ssh-keygen prints it.
    ///
    /// # Errors
    /// ssh-keygen fails.
    pub fn fingerprint(&self) -> Result<String> {
        let printed = run_text(
            Command::new("ssh-keygen")
                .arg("-lf")
                .arg(self.directory.join("host_key.pub")),
        )?;
        printed
            .split(' ')
            .nth(1)
            .map(str::to_owned)
            .context("ssh-keygen printed no fingerprint")
    }

    fn known_hosts_with(&self, key: &str) -> Result<String> {
        Ok(format!(
            "[{}]:{} {}",
            self.address.ip(),
            self.address.port(),
            self.read(key)?
        ))
    }

    fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.directory.join(name)).with_context(|| format!("failed to read {name}"))
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the thread, which waits for a connection.
        let woken = TcpStream::connect(self.address).is_ok();
        if woken && self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("sshd's thread has panicked");
        }
    }
}

fn make_key(path: &Path, passphrase: &str) -> Result<()> {
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f"])
        .arg(path))
    .map(drop)
}

/// Debian's init script makes this folder; in a container nobody has.
fn prepare_privilege_separation() -> Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(PRIVILEGE_SEPARATION);
    made.with_context(|| format!("failed to create {PRIVILEGE_SEPARATION}"))
}

fn sshd_config(directory: &Path, settings: &[(&str, &str)]) -> String {
    let directory = directory.display();
    let variables = environment(settings)
        .into_iter()
        .filter(|(name, _)| name != "PATH");
    let variables: Vec<_> = variables
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    format!(
        "HostKey {directory}/host_key\nAuthorizedKeysFile {directory}/authorized_keys\nPidFile none\nUsePAM no\n\
         StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
         AllowTcpForwarding no\nX11Forwarding no\nPrintMotd no\nLogLevel ERROR\nSetEnv {}\n",
        variables.join(" ")
    )
}

/// One sshd per connection, as inetd would run it: so the port is ours from the start, and nobody else's.
fn accept(listener: &TcpListener, configuration: &Path, stopping: &AtomicBool) {
    let mut children: Vec<Child> = Vec::new();
    for connection in listener.incoming() {
        if stopping.load(Ordering::Acquire) {
            break;
        }
        children.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
        match connection
            .context("failed to accept a connection")
            .and_then(|c| serve(c, configuration))
        {
            Ok(child) => children.push(child),
            Err(error) => eprintln!("{error:#}"),
        }
    }
    for mut child in children {
        if let Err(error) = child.kill().and_then(|()| child.wait()) {
            eprintln!("failed to stop sshd: {error}");
        }
    }
}

fn serve(connection: TcpStream, configuration: &Path) -> Result<Child> {
    let output = OwnedFd::from(connection.try_clone().context("failed to share a connection")?);
    Command::new(SSHD)
        .args(["-i", "-e", "-f"])
        .arg(configuration)
        .stdin(Stdio::from(OwnedFd::from(connection)))
        .stdout(Stdio::from(output))
        .spawn()
        .context("failed to start sshd")
}
