//! Progress of long work: bars on a terminal, a line each otherwise. All of it goes to standard error, and
//! none of it where a program reads that.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use plimsoll_image::source::Progress;

use crate::args::Format;

/// The blobs of an import.
#[derive(Debug)]
pub(crate) struct Transfer {
    format: Format,
    current: Option<ProgressBar>,
}

impl Transfer {
    pub(crate) fn new(format: Format) -> Transfer {
        Transfer { format, current: None }
    }

    pub(crate) fn show(&mut self, event: Progress<'_>) {
        match event {
            Progress::Present(_) => {}
            Progress::Begin(descriptor) => {
                self.finish();
                let name = format!("import {}", descriptor.digest.short());
                self.current = Some(bar(self.format, &name, descriptor.size));
            }
            Progress::Bytes(count) => {
                if let Some(bar) = &self.current {
                    bar.inc(count);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}

/// A bar for `size` bytes of work called `name`; off a terminal one line at its start.
pub(crate) fn bar(format: Format, name: &str, size: u64) -> ProgressBar {
    if format == Format::Json {
        return ProgressBar::hidden();
    }
    if !std::io::stderr().is_terminal() {
        // What small work there is does not need a line.
        if size >= 1 << 20 {
            let _ = writeln!(std::io::stderr(), "{name} ({})", HumanBytes(size));
        }
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(size).with_message(name.to_owned());
    // The template is a constant that the tests draw.
    match ProgressStyle::with_template(TEMPLATE) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

const TEMPLATE: &str = "{msg:24} {wide_bar} {bytes}/{total_bytes}";

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_valid() {
        assert!(indicatif::ProgressStyle::with_template(super::TEMPLATE).is_ok());
    }
}
