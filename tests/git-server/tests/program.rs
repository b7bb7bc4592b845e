//! The program as an image runs it: with hardly any environment, until SIGTERM.

#[cfg(test)]
mod program {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;

    use heddle_git_server::{Access, Account, BareRepository, WorkCopy};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    const PASSWORD: &str = "canary-password";

    /// The running program, the port it says it listens on, and the rest of its output.
    fn start(data: &Path, users: &Path) -> (Child, u16, BufReader<std::process::ChildStdout>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_heddle-git-server"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .arg("--data")
            .arg(data)
            .arg("--users-file")
            .arg(users)
            .args(["--repository", "idl.git", "--create-on-push"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        (
            child,
            u16::try_from(ready["port"].as_u64().unwrap()).unwrap(),
            output,
        )
    }

    type Stream = StreamOwned<ClientConnection, TcpStream>;

    /// Asks for a path, with more header fields. The answer is still to be read.
    fn get(port: u16, authority: &Path, path: &str, fields: &str) -> Stream {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(authority).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port)).unwrap());
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n"
        )
        .unwrap();
        stream
    }

    fn read_all(mut stream: Stream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Reads what comes until `end` was among it.
    fn read_until(stream: &mut Stream, end: &str) -> String {
        let mut read = String::new();
        while !read.contains(end) {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "{end:?} is missing: {read}");
            read.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        read
    }

    #[test]
    fn it_serves_until_it_is_told_to_stop_and_logs_no_password() {
        let directory = tempfile::tempdir().unwrap();
        let (data, users) = (directory.path().join("data"), directory.path().join("users"));
        std::fs::write(
            &users,
            format!("# accounts\nci:{PASSWORD}:write\n\nguest:guest:read\n"),
        )
        .unwrap();
        let (mut child, port, mut output) = start(&data, &users);
        let authority = data.join("tls/ca.crt");
        let url = |repository: &str| format!("https://localhost:{port}/{repository}");
        let writer = Account::new("ci", PASSWORD, Access::Write);

        assert!(read_all(get(port, &authority, "/healthz", "")).starts_with("HTTP/1.1 200 OK"));
        let copy = WorkCopy::clone(
            &url("idl.git"),
            &writer,
            &authority,
            &directory.path().join("work"),
        )
        .unwrap();
        // More than git sends with a length: it goes in chunks.
        let noise: Vec<u8> = (0..600_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        copy.write("noise", &noise).unwrap();
        let commit = copy.commit("noise").unwrap();
        copy.push("main").unwrap();
        copy.git(&[
            "push",
            "--quiet",
            &url("made/by/push.git"),
            "HEAD:refs/heads/main",
        ])
        .unwrap();
        let guest = Account::new("guest", "guest", Access::Read);
        let reader = WorkCopy::clone(
            &url("idl.git"),
            &guest,
            &authority,
            &directory.path().join("read"),
        )
        .unwrap();
        let refused = reader.push("main").unwrap_err().to_string();

        assert!(refused.contains("403"), "{refused}");
        let made = BareRepository::create(&data.join("repositories/made/by/push.git")).unwrap();
        assert_eq!(made.branch("main").unwrap().unwrap(), commit);

        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
        let mut log = String::new();
        output.read_to_string(&mut log).unwrap();
        let requests = log
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        assert!(
            requests.filter(|line| line["message"] == "request").count() >= 6,
            "{log}"
        );
        assert!(!log.contains(PASSWORD), "{log}");
    }

    #[test]
    fn those_who_may_read_are_told_of_pushes() {
        let directory = tempfile::tempdir().unwrap();
        let (data, users) = (directory.path().join("data"), directory.path().join("users"));
        std::fs::write(&users, "ci:pw:write\nguest:token:read").unwrap();
        let (mut child, port, _output) = start(&data, &users);
        let authority = data.join("tls/ca.crt");
        let refused = read_all(get(port, &authority, "/events", ""));
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");

        let url = format!("https://localhost:{port}/idl.git");
        let writer = Account::new("ci", "pw", Access::Write);
        let copy = WorkCopy::clone(&url, &writer, &authority, &directory.path().join("work")).unwrap();
        copy.write("a", b"a").unwrap();
        let commit = copy.commit("a").unwrap();
        let mut listening = get(port, &authority, "/events", "Authorization: Bearer token\r\n");
        let head = read_until(&mut listening, ": welcome").to_lowercase();
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        copy.push("main").unwrap();
        // To one who knows another life of the server, everything is new.
        let elsewhere = "Authorization: Bearer token\r\nLast-Event-ID: another-7\r\n";
        let mut returning = get(port, &authority, "/events", elsewhere);
        for stream in [&mut listening, &mut returning] {
            let told = read_until(stream, "refs/heads/main");
            assert!(told.contains("event: push") && told.contains(&commit), "{told}");
            assert!(
                told.contains("\"repository\":\"idl\"") && told.contains("\"pusher\":\"ci\""),
                "{told}"
            );
        }
        // Those who listen do not keep it from ending.
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn paths_that_leave_the_data_folder_are_not_found() {
        let directory = tempfile::tempdir().unwrap();
        let users = directory.path().join("users");
        std::fs::write(&users, "ci:pw:write").unwrap();
        let (mut child, port, _output) = start(&directory.path().join("data"), &users);
        BareRepository::create(&directory.path().join("outside.git")).unwrap();
        let writer = Account::new("ci", "pw", Access::Write);
        let authority = directory.path().join("data/tls/ca.crt");
        for path in ["%2e%2e/outside.git", ".git", "a//b.git"] {
            let url = format!("https://localhost:{port}/{path}");
            let error =
                WorkCopy::clone(&url, &writer, &authority, &directory.path().join("work")).unwrap_err();
            assert!(error.to_string().contains("not found"), "{error}");
        }
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
    }
}
