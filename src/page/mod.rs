//! A run as a file to look at: a page of HTML that needs neither the network nor JavaScript, a summary in Markdown.
//!
//! | file | what |
//! |---|---|
//! | `view.rs` | what the page says, as text and numbers |
//! | `page.html` | the page itself |
//! | `style.css` | how it looks, and the page of `sandbox ui` with it |
//! | `chart.rs` | the page's timeline: lanes and bars |
//! | `summary.rs` | the summary of a CI job |
//! | `words.rs` | words that page and summary share |
//! | `form.rs` | the files that a run can be written as |
//! | `at_end.rs` | the view that writes one of them when the run ends |

mod at_end;
mod chart;
mod form;
mod summary;
mod view;
mod words;

pub use at_end::AtEnd;
pub use form::Form;
pub use view::Page;
