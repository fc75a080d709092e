//! Logins to registries, as `docker login` keeps them: in Docker's configuration file, or with a credential helper that is
//! named there.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bollard::auth::DockerCredentials;
use http::HeaderValue;
use serde::Deserialize;

use crate::manifest::ImageRef;

/// The name under which the configuration has Docker Hub, whose images are of `docker.io`.
const HUB: &str = "https://index.docker.io/v1/";
/// The header of a pull that has a login.
const HEADER: &str = "x-registry-auth";
/// What a helper has for a user where the secret is a token.
const TOKEN_USER: &str = "<token>";
/// What a helper prints of a registry that nobody has logged in to (docker/docker-credential-helpers `credentials/error.go`).
const NOT_FOUND: &str = "credentials not found in native keychain";

/// A login to a registry. Its secrets are in no text of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    registry: String,
    username: Option<String>,
    password: Option<String>,
    identity_token: Option<String>,
    registry_token: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Where the login to a registry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginSource {
    /// Nowhere: images are pulled without one.
    Absent,
    /// In the configuration file.
    File(Login),
    /// With a credential helper.
    Helper(CredentialHelper),
}

/// A credential helper: a program that is asked for the login to a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialHelper {
    /// The program, such as `docker-credential-pass`.
    pub program: String,
    /// The registry, as it is asked for on the program's standard input.
    pub registry: String,
    /// The program's environment.
    pub env: BTreeMap<String, String>,
}

impl fmt::Debug for CredentialHelper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialHelper")
            .field("program", &self.program)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

/// Docker's configuration, as far as it is about logins. Unknown keys are others' affair.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Configuration {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

/// What the file has of one registry.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// A helper's answer.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    username: String,
    secret: String,
}

/// Docker's configuration folder, and the environment of the helpers that it names.
#[derive(Clone)]
pub(super) struct LoginFolder {
    pub(super) path: PathBuf,
    pub(super) env: BTreeMap<String, String>,
}

impl LoginFolder {
    /// Where the login is that an image's registry is to get.
    ///
    /// # Errors
    /// Why the configuration cannot be used.
    pub(super) fn source(&self, image: &ImageRef) -> Result<LoginSource, String> {
        let file = self.path.join("config.json");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(LoginSource::Absent),
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        source(&text, &registry(image), &self.env).map_err(|why| format!("{}: {why}", file.display()))
    }
}

impl CredentialHelper {
    /// The login in what the helper wrote to standard output, and whether it was successful; absent where it has none.
    ///
    /// # Errors
    /// What is wrong with the answer, without a word of it.
    pub fn login(&self, successful: bool, output: &[u8]) -> Result<Option<Login>, String> {
        if !successful {
            let is_absent = String::from_utf8_lossy(output).trim() == NOT_FOUND;
            return if is_absent { Ok(None) } else { Err("it failed".to_owned()) };
        }
        let answer: Answer = serde_json::from_slice(output).map_err(|_| "its answer is not a login".to_owned())?;
        let login = match answer.username.as_str() {
            TOKEN_USER => Login { identity_token: given(answer.secret), ..Login::to(&self.registry) },
            _ => {
                Login { username: given(answer.username), password: given(answer.secret), ..Login::to(&self.registry) }
            }
        };
        Ok(login.unless_empty())
    }
}

impl Login {
    fn to(registry: &str) -> Self {
        Self {
            registry: registry.to_owned(),
            username: None,
            password: None,
            identity_token: None,
            registry_token: None,
        }
    }

    fn unless_empty(self) -> Option<Self> {
        let is_empty = [&self.username, &self.password, &self.identity_token, &self.registry_token];
        is_empty.iter().any(|part| part.is_some()).then_some(self)
    }

    /// As the client crate sends it.
    pub(super) fn credentials(self) -> DockerCredentials {
        let Self { registry, username, password, identity_token: identitytoken, registry_token: registrytoken } = self;
        let serveraddress = Some(registry);
        DockerCredentials { username, password, identitytoken, registrytoken, serveraddress, ..Default::default() }
    }
}

/// The registry of an image, as the configuration calls it.
fn registry(image: &ImageRef) -> String {
    let name = image.canonical();
    let host = name.split('/').next().unwrap_or_default();
    if host == "docker.io" { HUB.to_owned() } else { host.to_owned() }
}

/// A registry's login in the text of a configuration. A helper that is named goes before what the file has, as with
/// `docker`.
fn source(text: &str, registry: &str, env: &BTreeMap<String, String>) -> Result<LoginSource, String> {
    // What is wrong is told by its place alone: the words around it may be a secret.
    let wrong =
        |error: serde_json::Error| format!("line {}: {:?} error", error.line(), error.classify()).to_lowercase();
    let Configuration { mut auths, creds_store, cred_helpers } = serde_json::from_str(text).map_err(wrong)?;
    let helper = cred_helpers.get(registry).unwrap_or(&creds_store);
    if !helper.is_empty() {
        let program = format!("docker-credential-{helper}");
        return Ok(LoginSource::Helper(CredentialHelper { program, registry: registry.to_owned(), env: env.clone() }));
    }
    // An old `docker login` kept an address where a new one keeps a host.
    let key = auths.keys().find(|key| *key == registry).or_else(|| auths.keys().find(|key| host(key) == registry));
    let Some(entry) = key.cloned().and_then(|key| auths.remove(&key)) else { return Ok(LoginSource::Absent) };
    let Entry { auth, mut username, mut password, identitytoken, registrytoken } = entry;
    if !auth.is_empty() {
        (username, password) = decoded(&auth).ok_or_else(|| format!("auths of {registry}: no user and password"))?;
    }
    let login = Login {
        username: given(username),
        password: given(password),
        identity_token: given(identitytoken),
        registry_token: given(registrytoken),
        ..Login::to(registry)
    };
    Ok(login.unless_empty().map_or(LoginSource::Absent, LoginSource::File))
}

/// `user:password`, of which the password may have colons and fill bytes at its end.
fn decoded(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

fn host(address: &str) -> &str {
    let address = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    address.split('/').next().unwrap_or_default()
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A client whose requests have logins as the daemon reads them. The client crate writes base64 with `+` and `/`, which a
/// daemon takes for no login at all; and who prints a request is not to print this header.
pub(super) fn with_readable_logins(client: bollard::Docker) -> bollard::Docker {
    client.with_request_modifier(|mut request| {
        if let Some(value) = request.headers_mut().get_mut(HEADER) {
            let readable = STANDARD.decode(value.as_bytes()).ok().map(|text| URL_SAFE.encode(text));
            if let Some(readable) = readable.and_then(|text| HeaderValue::from_str(&text).ok()) {
                *value = readable;
            }
            value.set_sensitive(true);
        }
        request
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(registry: &str, username: &str, password: &str) -> Login {
        Login { username: given(username.to_owned()), password: given(password.to_owned()), ..Login::to(registry) }
    }

    fn found(config: &str, image: &str) -> Result<LoginSource, String> {
        source(config, &registry(&image.parse().expect("an image")), &BTreeMap::new())
    }

    fn helper(program: &str, registry: &str) -> CredentialHelper {
        CredentialHelper { program: program.to_owned(), registry: registry.to_owned(), env: BTreeMap::new() }
    }

    /// `me:word`, `hub:a:b` with fill bytes, and `old:one`.
    const CONFIG: &str = r#"{
        "auths": {
            "127.0.0.1:5000": {"auth": "bWU6d29yZA=="},
            "https://index.docker.io/v1/": {"auth": "aHViOmE6YgAA", "email": "a@b.example"},
            "https://old.example/v1/": {"auth": "b2xkOm9uZQ=="},
            "plain.example": {"username": "you", "password": "there"},
            "token.example": {"auth": "bWU6", "identitytoken": "id"},
            "empty.example": {}
        },
        "HttpHeaders": {"User-Agent": "x"}, "currentContext": "other"
    }"#;

    #[test]
    fn a_login_of_the_file_is_found_by_the_registry_of_the_image() {
        let token = Login { identity_token: Some("id".to_owned()), ..login("token.example", "me", "") };
        for (image, wanted) in [
            ("127.0.0.1:5000/team/a:1", LoginSource::File(login("127.0.0.1:5000", "me", "word"))),
            ("postgres:10", LoginSource::File(login(HUB, "hub", "a:b"))),
            ("docker.io/a/b", LoginSource::File(login(HUB, "hub", "a:b"))),
            ("old.example/a:1", LoginSource::File(login("old.example", "old", "one"))),
            ("plain.example/a:1", LoginSource::File(login("plain.example", "you", "there"))),
            ("token.example/a:1", LoginSource::File(token)),
            ("empty.example/a:1", LoginSource::Absent),
            ("127.0.0.1:5001/a:1", LoginSource::Absent),
            ("127.0.0.1/a:1", LoginSource::Absent),
        ] {
            assert_eq!(found(CONFIG, image), Ok(wanted), "{image}");
        }
        assert_eq!(found("{}", "a:1"), Ok(LoginSource::Absent));
    }

    #[test]
    fn a_helper_goes_before_the_file_and_one_of_the_registry_before_the_general_one() {
        let config = r#"{"auths": {"a.example": {"auth": "bWU6d29yZA=="}, "b.example": {}}, "credsStore": "pass",
            "credHelpers": {"b.example": "ecr-login", "c.example": ""}}"#;
        for (image, wanted) in [
            ("a.example/x:1", LoginSource::Helper(helper("docker-credential-pass", "a.example"))),
            ("b.example/x:1", LoginSource::Helper(helper("docker-credential-ecr-login", "b.example"))),
            ("c.example/x:1", LoginSource::Absent),
            ("x:1", LoginSource::Helper(helper("docker-credential-pass", HUB))),
        ] {
            assert_eq!(found(config, image), Ok(wanted), "{image}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_configuration_is_told_without_a_word_of_it() {
        for config in [
            r#"{"auths": {"a.example": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"a.example": {"auth": "secret!"}}}"#,
            r#"{"auths": {"a.example": "secret"}}"#,
            r#"{"auths": {"a.example": {"auth": "secret"#,
            r#"{"auths": "secret"}"#,
        ] {
            let why = found(config, "a.example/x:1").expect_err("no login");
            assert!(!why.contains("secret") && !why.contains("c2Vj"), "{why}");
        }
    }

    #[test]
    fn a_helpers_answer_is_a_login_a_token_or_nothing() {
        let helper = helper("docker-credential-x", "a.example");
        let token = Login { identity_token: Some("id".to_owned()), ..Login::to("a.example") };
        for (successful, output, wanted) in [
            (
                true,
                r#"{"ServerURL":"a.example","Username":"me","Secret":"word"}"#,
                Ok(Some(login("a.example", "me", "word"))),
            ),
            (true, r#"{"Username":"<token>","Secret":"id"}"#, Ok(Some(token))),
            (true, r#"{"Username":"","Secret":""}"#, Ok(None)),
            (false, "credentials not found in native keychain\n", Ok(None)),
            (false, "secret", Err("it failed")),
            (true, "secret", Err("its answer is not a login")),
            (true, "", Err("its answer is not a login")),
        ] {
            let found = helper.login(successful, output.as_bytes());
            assert_eq!(found, wanted.map_err(str::to_owned), "{output}");
        }
    }

    #[test]
    fn no_text_of_a_login_has_its_secrets() {
        let source = found(CONFIG, "token.example/a:1").expect("there");
        let told = format!("{source:?} {:?}", login("a", "me", "word"));
        assert!(!told.contains("word") && !told.contains("\"id\""), "{told}");
    }
}
