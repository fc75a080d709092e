//! `kubectl get --raw PATH`, which asks the API from within the node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

pub(super) fn main(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ["get", "--raw", path] = args.as_slice() else {
        eprintln!("kubectl: this stand-in does not know {args:?}");
        return ExitCode::from(2);
    };
    match ask(path) {
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

fn ask(path: &str) -> std::io::Result<String> {
    let mut api = TcpStream::connect("127.0.0.1:6443")?;
    api.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    api.read_to_string(&mut answer)?;
    Ok(answer)
}
