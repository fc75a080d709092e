//! `kubectl get --raw PATH --request-timeout=SECONDSs`, which asks the API from within the node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

pub(super) fn main(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Some((path, limit)) = read(&args) else {
        eprintln!("kubectl: this stand-in does not know {args:?}");
        return ExitCode::from(2);
    };
    match ask(path, limit) {
        Ok(answer) if answer.starts_with("HTTP/1.0 200") => ExitCode::SUCCESS,
        Ok(answer) => {
            eprintln!("Error from server: {}", answer.lines().next().unwrap_or_default());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("The connection to the server 127.0.0.1:6443 was refused: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read<'a>(args: &[&'a str]) -> Option<(&'a str, Duration)> {
    let ["get", "--raw", path, limit] = args else { return None };
    let seconds = limit.strip_prefix("--request-timeout=")?.strip_suffix('s')?;
    Some((path, Duration::from_secs(seconds.parse().ok()?)))
}

fn ask(path: &str, limit: Duration) -> std::io::Result<String> {
    let mut api = TcpStream::connect("127.0.0.1:6443")?;
    api.set_read_timeout(Some(limit))?;
    api.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    api.read_to_string(&mut answer)?;
    Ok(answer)
}
