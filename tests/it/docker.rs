//! A Docker that is not there, does not answer, or goes away in the middle.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use flyte_sandbox::docker::{Docker, Endpoint, Origin};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::manifest::ImageRef;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::docker::{FakeDocker, World};

const VERSION: &str = r#"{"ApiVersion":"1.41"}"#;

/// What a daemon does with a request other than that for its version.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// It never answers.
    Hangs,
    /// It answers half.
    Breaks,
    /// It answers half, and goes on for ever.
    Stalls,
    /// It answers what is no JSON.
    Lies,
    /// It answers with 64 MiB of a container's output, on one line.
    Floods,
    /// It refuses, with these words.
    Refuses(&'static str),
}

fn answer(status: &str, length: usize, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

async fn serve(mut stream: TcpStream, then: Then) {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    let greets = |line: &str| line.contains("/_ping ") || line.contains("/version ");
    let version = request.lines().next().is_some_and(greets);
    if matches!(then, Then::Floods) && !version {
        return flood(stream, &request).await;
    }
    let (text, stays) = match then {
        Then::Floods => (answer("200 OK", VERSION.len(), VERSION), false),
        _ if version => (answer("200 OK", VERSION.len(), VERSION), false),
        Then::Hangs => (String::new(), true),
        Then::Breaks => (answer("200 OK", 1000, "[{"), false),
        Then::Stalls => (answer("200 OK", 1000, "{\"status\":\"Waiting\",\"id\":\"layer\"}\n"), true),
        Then::Lies => (answer("200 OK", 6, "<html>"), false),
        Then::Refuses(words) => {
            let body = format!(r#"{{"message":"{words}"}}"#);
            (answer("500 Internal Server Error", body.len(), &body), false)
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    if stays {
        std::future::pending::<()>().await;
    }
}

/// Output as the daemon frames it: a log, or that of a command for which the connection becomes another one.
async fn flood(mut stream: TcpStream, request: &str) {
    if request.starts_with("POST") && request.contains("/exec HTTP") {
        let _ = stream.write_all(answer("201 Created", 10, r#"{"Id":"e"}"#).as_bytes()).await;
        return;
    }
    let head = if request.starts_with("POST") {
        "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    } else {
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: close\r\n\r\n"
    };
    let mut sent = stream.write_all(head.as_bytes()).await;
    let frame = [&[1, 0, 0, 0, 0, 1, 0, 0][..], &[b'x'; 1 << 16][..]].concat();
    for _ in 0..1024 {
        if sent.is_err() {
            return;
        }
        sent = stream.write_all(&frame).await;
    }
}

fn at(host: String) -> Endpoint {
    Endpoint { host, origin: Origin::Variable }
}

/// A connection to a daemon that tells its version.
async fn daemon(then: Then) -> Docker {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let host = format!("tcp://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, then));
        }
    });
    Docker::connect_to(at(host)).await.expect("it tells its version")
}

async fn unreached(host: String) -> Failure {
    Docker::connect_to(at(host)).await.expect_err("no daemon")
}

#[tokio::test]
async fn why_a_daemon_is_not_reached_is_told() {
    let dir = tempfile::tempdir().expect("tempdir");
    let socket = dir.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    assert_eq!(unreached(host.clone()).await.reason, Reason::DockerAbsent);
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bind"));
    assert_eq!(unreached(host).await.reason, Reason::DockerRefused);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let host = format!("tcp://{}", listener.local_addr().expect("address"));
    let closing = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    assert_eq!(unreached(host.clone()).await.reason, Reason::DockerLost);
    closing.abort();
    assert!(closing.await.expect_err("stopped").is_cancelled());
    assert_eq!(unreached(host).await.reason, Reason::DockerRefused);
    assert_eq!(unreached("ssh://me@example".to_owned()).await.reason, Reason::DockerRemote);
    assert_eq!(unreached("npipe:////./pipe/docker".to_owned()).await.reason, Reason::Docker);
}

#[tokio::test]
async fn a_daemon_that_accepts_and_says_nothing_is_silent() {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.expect("bind"));
    let host = format!("tcp://{}", listener.local_addr().expect("address"));
    tokio::time::pause();
    let failure = unreached(host).await;
    assert_eq!((failure.reason, failure.causes), (Reason::DockerSilent, vec!["no answer within 2 s".to_owned()]));
}

#[tokio::test]
async fn a_daemon_that_hangs_or_dies_in_the_middle_is_not_waited_for() {
    for (then, reason) in [
        (Then::Hangs, Reason::DockerSilent),
        (Then::Breaks, Reason::DockerLost),
        (Then::Lies, Reason::Docker),
        (Then::Refuses("something nobody has seen"), Reason::Docker),
        (Then::Refuses("write /var/lib/docker/tmp/x: no space left on device"), Reason::DiskFull),
    ] {
        let docker = daemon(then).await;
        if matches!(then, Then::Hangs) {
            tokio::time::pause();
        }
        let failure = Failure::from(docker.containers(&[]).await.expect_err("no list"));
        assert_eq!(failure.reason, reason, "{then:?}: {failure}");
        if let Then::Refuses(words) = then {
            assert_eq!(failure.causes, [format!("{words} (status 500)")]);
        }
        if matches!(then, Then::Hangs) {
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn however_much_a_container_writes_little_of_it_is_kept() {
    let docker = daemon(Then::Floods).await;
    let lines = docker.logs("node", 15).await.expect("a log");
    let kept: usize = lines.iter().map(String::len).sum();
    assert!(kept <= 2 << 20, "{kept} bytes");
    let output = docker.exec("node", &["cat", "/dev/zero"]).await;
    let output = output.map(|output| output.stdout.len());
    let failure = Failure::from(output.expect_err("64 MiB are no answer of a short command"));
    assert_eq!((failure.reason, failure.causes), (Reason::Docker, vec!["it is larger than 4 MiB".to_owned()]));
}

#[tokio::test]
async fn a_daemon_that_went_away_is_lost_and_not_absent() {
    let dir = tempfile::tempdir().expect("tempdir");
    let socket = dir.path().join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&socket).expect("bind");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = vec![0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(answer("200 OK", 2, "OK").as_bytes()).await;
    });
    let docker = Docker::connect_to(at(format!("unix://{}", socket.display()))).await.expect("it was there");
    serving.await.expect("no panic");
    std::fs::remove_file(&socket).expect("there");
    let failure = Failure::from(docker.containers(&[]).await.expect_err("gone"));
    assert_eq!(failure.reason, Reason::DockerLost);
}

#[tokio::test]
async fn a_pull_of_which_nothing_comes_ends_before_the_run_does() {
    let docker = daemon(Then::Stalls).await;
    tokio::time::pause();
    let image: ImageRef = "a:1".parse().expect("a name");
    let failure = Failure::from(docker.pull(&image, None, None, |_, _| ()).await.expect_err("nothing comes"));
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::PullTimeout, Some("image a:1")));
    assert_eq!(failure.causes, ["nothing came for 60 s"]);
}

/// A daemon that answers only those who speak TLS.
#[tokio::test]
async fn a_daemon_that_wants_tls_is_told_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let host = format!("tcp://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = "Client sent an HTTP request to an HTTPS server.\n";
            let said = answer("400 Bad Request", body.len(), body).replace("application/json", "text/plain");
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(said.as_bytes()).await;
        }
    });
    let failure = unreached(host).await;
    assert_eq!(failure.reason, Reason::Docker);
    assert!(failure.hints.iter().any(|hint| hint.contains("without TLS")), "{failure:?}");
}

/// What the real binary says where only this leads to a daemon.
fn doctor_with(home: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.arg("doctor").env_clear().envs(variables.iter().copied()).current_dir(home);
    command.env("HOME", home).env("PATH", home).output().expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_finds_the_daemon_as_dockers_command_line_does() {
    let fake = FakeDocker::start(World::default()).await;
    let home = tempfile::tempdir().expect("a home");
    let config = home.path().join(".docker");
    // printf team | sha256sum
    let meta = config.join("contexts/meta/ca8b22d0db83a22db163b560b3e4e51527e533d31d067b614a0c33c4d2df8432");
    std::fs::create_dir_all(&meta).expect("a folder");
    let text = json!({"Name": "team", "Endpoints": {"docker": {"Host": fake.host}}});
    std::fs::write(meta.join("meta.json"), text.to_string()).expect("written");
    let current = |name: &str| {
        let text = json!({"currentContext": name});
        std::fs::write(config.join("config.json"), text.to_string()).expect("written");
    };
    let host = fake.host.as_str();
    for (in_use, variables, by) in [
        ("team", &[][..], ", by the context team"),
        ("gone", &[("DOCKER_CONTEXT", "team")], ", by the context team"),
        ("gone", &[("DOCKER_CONTEXT", "gone"), ("DOCKER_HOST", host)], ", by DOCKER_HOST"),
    ] {
        current(in_use);
        let output = tokio::task::block_in_place(|| doctor_with(home.path(), variables));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("Docker 20.10.24, API 1.41, at {host}{by}")), "{variables:?}: {said}");
    }
}
