//! Which line of a container's log tells why it ended.

use serde_json::Value;

/// What a program says of a flag or a command that it does not know, before it tells how it is used.
const MISUSE: [&str; 10] = [
    "unknown flag",
    "unknown shorthand flag",
    "unknown command",
    "flag provided but not defined",
    "incorrect usage",
    "unrecognized option",
    "unrecognized argument",
    "unrecognized configuration parameter",
    "invalid option",
    "flag needs an argument",
];

/// Levels of log lines, the worst first, as logrus, zap, glog, Envoy and Postgres write them.
const LEVELS: [&[&str]; 2] = [
    &[
        "level=fatal",
        "level=panic",
        "\"level\":\"fatal\"",
        "\"level\":\"panic\"",
        "FATA[",
        "FATAL:",
        "[critical]",
        "PANIC:",
    ],
    &["level=error", "\"level\":\"error\"", "ERRO[", "ERROR:", "[error]", "Error: ", "error: "],
];

/// Characters that are shown of a line.
const WIDTH: usize = 400;

/// The line that is nearest to the first cause, and where it stands.
pub(super) fn telling(lines: &[String]) -> Option<(usize, String)> {
    let find = |wanted: &dyn Fn(&str) -> bool| lines.iter().position(|line| wanted(line));
    let last = |wanted: &dyn Fn(&str) -> bool| lines.iter().rposition(|line| wanted(line));
    if let Some(at) = find(&|line| panicked(line).is_some()) {
        return Some((at, panic_words(lines, at)));
    }
    let misuse = |line: &str| {
        let line = line.to_lowercase();
        MISUSE.iter().any(|words| line.contains(words))
    };
    let level = |level: &'static [&str]| last(&|line| level.iter().any(|mark| line.contains(mark)));
    let said = || last(&|line| !line.trim().is_empty());
    let at = find(&misuse).or_else(|| LEVELS.into_iter().find_map(level)).or_else(said)?;
    Some((at, shown(&message(&lines[at]))))
}

/// What follows `panic: ` in a line.
fn panicked(line: &str) -> Option<String> {
    let message = message(line);
    let at = message.find("panic: ")?;
    // Go prints a value that it cannot by its type and address; the log line before tells what it was.
    (!message[at..].starts_with("panic: (*")).then(|| message[at..].to_owned())
}

/// The words of a Go panic, without the stack that follows them.
fn panic_words(lines: &[String], at: usize) -> String {
    let whole = panicked(&lines[at]).unwrap_or_default();
    let within = whole.lines().skip(1).map(str::to_owned);
    let further: Vec<String> = within.chain(lines[at + 1..].iter().cloned()).collect();
    let is_stack = |line: &str| {
        let line = line.trim_start();
        line.is_empty()
            || line.starts_with("goroutine ")
            || line.starts_with("[signal ")
            || line.starts_with("[recovered]")
            || line.contains(".go:")
            || line.starts_with("github.com/")
            || line.starts_with("time=")
            || line.starts_with('{')
            || line.starts_with("main.")
            || line.starts_with("runtime.")
    };
    let mut words = vec![whole.lines().next().unwrap_or_default().to_owned()];
    words.extend(further.into_iter().take_while(|line| !is_stack(line)).map(|line| line.trim().to_owned()));
    shown(&words.join("; "))
}

/// The message of a log line in JSON or in logrus' own form; else the line.
fn message(line: &str) -> String {
    let line = line.trim();
    if let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(line)
        && let Some(message) = ["msg", "message", "error"].iter().find_map(|key| fields.get(*key)?.as_str())
    {
        return message.to_owned();
    }
    crate::text::log_message(line).unwrap_or_else(|| line.to_owned())
}

fn shown(text: &str) -> String {
    let first = text.replace("\\n", "\n");
    let line = first.lines().next().unwrap_or_default();
    line.chars().take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(log: &str) -> String {
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        telling(&lines).expect("a line").1
    }

    #[test]
    fn a_panic_is_told_by_its_words_and_not_by_its_stack() {
        let plain = "starting\npanic: no database\nfailed to open\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:10 +0x1d\nexit status 2";
        assert_eq!(told(plain), "panic: no database; failed to open");
        let entry = "{\"level\":\"panic\",\"msg\":\"no such host\"}\npanic: (*logrus.Entry) 0xc000839260\n\ngoroutine 1 [running]:";
        assert_eq!(told(entry), "no such host");
        let json = r#"{"json":{},"level":"info","msg":"Config section [clusters] updated."}
{"json":{},"level":"fatal","msg":"caught panic: Failed to get auth CA: open : no such file or directory\nfailed to read k8s CA cert\ngithub.com/flyteorg/flyteadmin/pkg.Auth.GetCA\n\t/opt/real/x.go:31"}
{"json":{},"level":"info","msg":"later"}"#;
        assert_eq!(
            told(json),
            "panic: Failed to get auth CA: open : no such file or directory; failed to read k8s CA cert"
        );
    }

    #[test]
    fn a_flag_that_is_not_known_goes_before_the_usage_that_follows() {
        let minio = "Incorrect Usage: flag provided but not defined: -console-address\n\nNAME:\n  minio server\n\nEXAMPLES:\n  1. Start";
        assert_eq!(told(minio), "Incorrect Usage: flag provided but not defined: -console-address");
        let cobra = "Error: unknown flag: --turbo\nUsage:\n  flyteadmin serve [flags]\n\nFlags:\n  -h, --help\n";
        assert_eq!(told(cobra), "Error: unknown flag: --turbo");
    }

    #[test]
    fn the_worst_level_goes_before_what_was_said_last() {
        let log = "time=\"t\" level=error msg=\"a\"\ntime=\"t\" level=fatal msg=\"no bucket\"\ntime=\"t\" level=info msg=\"bye\"";
        assert_eq!(told(log), "no bucket");
        assert_eq!(told("FATAL:  role \"flyte\" does not exist\nLOG: bye"), "FATAL:  role \"flyte\" does not exist");
        assert_eq!(told("one\ntwo\n\n"), "two");
        assert_eq!(telling(&[]), None);
    }
}
