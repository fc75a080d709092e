//! The page that `sandbox ui` serves on this machine: it reads, and changes nothing.
//!
//! | file | what |
//! |---|---|
//! | `server.rs` | the routes, on a free port of 127.0.0.1 |
//! | `guard.rs` | who is answered, and what each answer tells the browser |
//! | `token.rs` | the secret in the URL |
//! | `live.rs` | what is asked of sandboxes, while somebody looks |
//! | `view.rs` | what the page says, as text |
//! | `ui.html` | the page itself |
//! | `parts.html` | what of it changes |
//! | `ui.js` | its script: the parts again, and what changed of them |
//! | `follow.rs` | a log that is followed, as it comes |
//! | `log.html` | the page of a log |
//! | `log.js` | its script: lines as they come, and not too many of them |

mod follow;
mod guard;
mod live;
mod server;
mod token;
mod view;

pub use server::Ui;
