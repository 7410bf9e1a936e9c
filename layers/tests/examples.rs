//! Starts each example as a user would and talks to it over a socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An example that runs until the test is over.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    /// Cargo builds the examples before it runs tests, and puts them beside these.
    fn start(name: &str) -> Self {
        let test = std::env::current_exe().unwrap();
        let deps = test.parent().unwrap();
        let program: PathBuf = deps.parent().unwrap().join("examples").join(name);
        let mut child = Command::new(&program)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().rsplit('/').next().unwrap().to_owned();
        Self { child, address }
    }

    /// Sends one request on a connection of its own; gives status, head and body.
    fn ask(&self, head: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let headers = headers.replace('\n', "\r\n");
        let end = if headers.is_empty() { "" } else { "\r\n" };
        write!(
            stream,
            "{line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
             content-length: {length}\r\n{headers}{end}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head[9..12].parse().unwrap(),
            head.to_lowercase(),
            body.to_owned(),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_axum_example_knows_its_users_and_limits_them() {
    let service = Running::start("axum");
    assert_eq!(service.ask("GET /hello", "").0, 401);
    assert_eq!(service.ask("GET /hello\nx-api-key: sk-eve", "").0, 401);
    for left in (0..5).rev() {
        let (status, head, body) = service.ask("GET /hello\nauthorization: Bearer sk-ada", "");
        assert_eq!((status, body.as_str()), (200, "hello, ada\n"));
        assert!(
            head.contains(&format!("x-ratelimit-remaining-requests: {left}")),
            "{head}"
        );
    }
    let (status, head, _) = service.ask("GET /hello\nauthorization: Bearer sk-ada", "");
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: "), "{head}");
    let (status, _, body) = service.ask("GET /hello\nx-api-key: sk-bob", "");
    assert_eq!((status, body.as_str()), (200, "hello, bob\n"));
}

#[test]
fn the_hyper_example_retries_caches_and_keeps_within_its_budget() {
    let service = Running::start("hyper");
    let ask = |question: &str| service.ask("POST /\nx-api-key: sk-ada", question);
    assert_eq!(service.ask("POST /", "hi").0, 401);
    // The first call of the machine fails, and is tried again.
    let (status, head, body) = ask("how are you");
    assert_eq!(
        (status, body.as_str()),
        (200, "3 words, and I have no answer\n")
    );
    assert!(head.contains("x-ratelimit-limit-tokens: 10000"), "{head}");
    assert_eq!(ask("how are you").0, 200);
    // A dollar a day, and each byte might be a word: a hundred and more cannot be paid.
    let (status, head, body) = ask(&"x".repeat(101));
    assert_eq!(status, 429, "{body}");
    assert!(head.contains("retry-after: "), "{head}");
    assert!(body.contains("$0.03 spent"), "{body}");
    assert_eq!(ask(&"x".repeat(70_000)).0, 413);
}
