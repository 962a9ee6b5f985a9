//! The page itself, as it is sent: HTML, one style sheet, one script.

/// The review.
pub(super) const HTML: &str = include_str!("page/index.html");

/// What the printed address shows for a moment; `{word}` stands for the word that the browser keeps.
pub(super) const OPEN: &str = include_str!("page/open.html");

/// Its script.
pub(super) const OPEN_JS: &str = include_str!("page/open.js");

/// What a stranger sees; `{why}` stands for a sentence.
pub(super) const CLOSED: &str = include_str!("page/closed.html");

/// The style sheet.
pub(super) const CSS: &str = concat!(include_str!("../report/look.css"), include_str!("page/page.css"));

/// The icon.
pub(super) const ICON: &str = include_str!("page/icon.svg");

/// The script.
pub(super) const JS: &str = concat!(
    "\"use strict\";\n(() => {\n",
    include_str!("page/asking.js"),
    include_str!("page/runs.js"),
    include_str!("page/glance.js"),
    include_str!("page/reasons.js"),
    include_str!("page/choosing.js"),
    include_str!("page/list.js"),
    include_str!("page/order.js"),
    include_str!("page/sealing.js"),
    "})();\n"
);
