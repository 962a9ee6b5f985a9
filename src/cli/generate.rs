//! Files that are generated from the table of commands: shell completions and the manual page.

use std::io::{self, Write as _};

use clap::CommandFactory;

/// `muster completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// The shell to complete in
    shell: clap_complete::Shell,
}

/// Prints completions to standard output.
pub(super) fn completions<C: CommandFactory>(args: CompletionArgs) -> anyhow::Result<u8> {
    clap_complete::generate(args.shell, &mut C::command(), "muster", &mut io::stdout());
    Ok(0)
}

/// Prints the manual page to standard output.
pub(super) fn man<C: CommandFactory>() -> anyhow::Result<u8> {
    let mut page = Vec::new();
    clap_mangen::Man::new(C::command()).render(&mut page)?;
    io::stdout().write_all(&page)?;
    Ok(0)
}
