//! A browser that reaches this machine and nothing else: a headless Chromium.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::devtools::DevTools;
use super::sandbox::Sandbox;

/// What it is called, by Debian, by others, and by those who made it.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const ONLY_HERE: &str = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1";
/// Milliseconds of the page's own clock, which stands still while something is loaded.
const PATIENCE: &str = "--virtual-time-budget=10000";

/// Holds that the console shows these projects to a browser without internet.
#[track_caller]
pub(crate) fn shows_projects(sandbox: &Sandbox, projects: &[&str]) {
    if !sandbox.ground.is_real() {
        return println!("NOT HERE: a console that draws anything; src/smoke/console.rs judges what its page loads");
    }
    let Some(browser) = find() else {
        return println!("NOT TRIED: the console in a browser; none of {} is here", PROGRAMS.join(", "));
    };
    println!("browser: {} (real)", browser.display());
    let (page, said) = open(&browser, &format!("http://127.0.0.1:{}/console", sandbox.ports[0]));
    assert!(!said.contains("is not defined"), "{said}");
    for project in projects {
        assert!(page.contains(&format!(">{project}<")), "no {project}\n{page}\n{said}");
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

/// What a page has become, and what it and the browser said.
fn open(browser: &Path, url: &str) -> (String, String) {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"]);
    command.args([ONLY_HERE, PATIENCE, &format!("--user-data-dir={}", home.path().display()), url]);
    let output = command.env("HOME", home.path()).stdin(Stdio::null()).output().expect("a browser");
    let [page, said] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}: {said}", output.status);
    (page, said)
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// In pixels; what is narrower than a tablet is a telephone.
    pub(crate) width: u32,
    pub(crate) is_dark: bool,
}

/// Every look: a desk and a telephone, by day and by night.
pub(crate) const LOOKS: [Look; 4] = [
    Look { width: 1280, is_dark: false },
    Look { width: 1280, is_dark: true },
    Look { width: 360, is_dark: false },
    Look { width: 360, is_dark: true },
];

/// A Chromium for pages that are files. Its only way out is a proxy that counts who comes and answers nothing.
pub(crate) struct Reader {
    devtools: DevTools,
    axe: String,
    asked: Arc<AtomicUsize>,
}

/// A page that was looked at.
pub(crate) struct Seen<'a> {
    reader: &'a mut Reader,
    /// What the page said on the console, and what broke in it.
    pub(crate) said: Vec<String>,
    /// What it asked for, but for itself.
    pub(crate) requests: Vec<String>,
}

impl Reader {
    /// None where there is no Chromium or no axe-core, which is told.
    pub(crate) fn find() -> Option<Self> {
        let Some(browser) = find() else {
            println!("NOT TRIED: pages in a browser; none of {} is here", PROGRAMS.join(", "));
            return None;
        };
        let (named, file) = axe();
        let axe = match std::fs::read_to_string(&file) {
            Ok(axe) => axe,
            Err(error) if error.kind() == ErrorKind::NotFound && !named => {
                println!("NOT TRIED: pages in a browser; {} is not here, and scripts/test fetches it", file.display());
                return None;
            }
            Err(error) => panic!("{}: {error}", file.display()),
        };
        println!("browser: {} (real)\naxe-core: {} (real)", browser.display(), file.display());
        let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", proxy.local_addr().expect("an address"));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for _ in proxy.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Some(Self { devtools: DevTools::start(&browser, &address), axe, asked })
    }

    /// Who came to the proxy so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn resize(&mut self, width: u32) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools.ask("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Opens a page, and holds that it is as light or dark as it is to be.
    #[track_caller]
    pub(crate) fn look(&mut self, page: &Path, look: Look) -> Seen<'_> {
        let Look { width, is_dark } = look;
        self.resize(width);
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!({"media": "screen", "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools.ask("Emulation.setEmulatedMedia", feature);
        let url = format!("file://{}", page.display());
        let events = self.devtools.open(&url);
        let of = |methods: &[&str]| {
            let wanted = events.iter().filter(|event| methods.iter().any(|method| event["method"] == *method));
            wanted.map(|event| event["params"].clone()).collect::<Vec<_>>()
        };
        let said = of(&["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"]);
        let requests = of(&["Network.requestWillBeSent"]);
        let requests = requests.iter().filter_map(|params| params["request"]["url"].as_str());
        let requests = requests.filter(|asked| *asked != url).map(str::to_owned).collect();
        let seen = Seen { reader: self, said: said.iter().map(Value::to_string).collect(), requests };
        let ground = seen.reader.devtools.evaluate("getComputedStyle(document.body).backgroundColor");
        let ground = ground.as_str().expect("a colour").to_owned();
        let brightness: Vec<u32> = ground.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        assert_eq!(brightness.len(), 3, "{ground}");
        assert_eq!(brightness.iter().sum::<u32>() < 3 * 128, is_dark, "{}, {look:?}: {ground}", page.display());
        seen
    }
}

impl Seen<'_> {
    /// What a script in the page comes to.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        self.reader.devtools.evaluate(script)
    }

    /// Goes on in a window of this width.
    pub(crate) fn resize(&mut self, width: u32) {
        self.reader.resize(width);
    }

    /// Goes on as on paper.
    pub(crate) fn print(&mut self) {
        self.reader.devtools.ask("Emulation.setEmulatedMedia", json!({"media": "print"}));
    }

    /// The text that is seen, each white space as one blank.
    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        let text = self.evaluate("document.body.innerText");
        one_line(text.as_str().expect("text"))
    }

    /// What `axe-core` finds against WCAG 2.2 A and AA, and against good practice, or cannot judge by itself.
    #[track_caller]
    pub(crate) fn violations(&mut self) -> Vec<String> {
        let axe = std::mem::take(&mut self.reader.axe);
        self.evaluate(&format!("{axe}\n;0"));
        self.reader.axe = axe;
        let found = self.evaluate(
            "axe.run(document, {preload: false, resultTypes: ['violations', 'incomplete'], runOnly: {type: 'tag', values: ['wcag2a', \
             'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice']}}).then(found => { \
             if (found.passes.length < 5) throw 'only ' + found.passes.length + ' rules were tried'; \
             return [...found.violations, ...found.incomplete].map(one => one.id + ', ' + one.nodes.length + ' times: ' + one.help + '\\n' + \
             one.nodes.slice(0, 3).map(node => node.html.slice(0, 300) + '\\n' + node.failureSummary).join('\\n')) })",
        );
        found.as_array().expect("a list").iter().map(|one| one.as_str().expect("text").to_owned()).collect()
    }
}

/// A text, each white space as one blank.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where axe-core is: at the place that a variable names, or where `scripts/test` puts it.
fn axe() -> (bool, PathBuf) {
    if let Some(file) = std::env::var_os("SANDBOX_AXE") {
        return (true, file.into());
    }
    let version = include_str!("../../../scripts/lib.sh").lines().find_map(|line| line.strip_prefix("AXE_VERSION="));
    let folder = std::env::var_os("SANDBOX_TOOLS").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
        cache.unwrap_or_else(home).join("flyte-sandbox/tools")
    });
    (false, folder.join(format!("axe-core-{}/axe.min.js", version.expect("a version"))))
}
