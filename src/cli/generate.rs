//! Files that are generated from the table of commands: shell completions and the manual page.

use clap::CommandFactory;

use super::stdout::print;

/// `muster completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster completions bash > /etc/bash_completion.d/muster\n  muster completions fish > ~/.config/fish/completions/muster.fish"
)]
pub(super) struct CompletionArgs {
    /// The shell to complete in
    shell: clap_complete::Shell,
}

/// Prints completions to standard output.
pub(super) fn completions<C: CommandFactory>(args: CompletionArgs) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "muster", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Prints the manual page to standard output.
pub(super) fn man<C: CommandFactory>() -> anyhow::Result<u8> {
    let mut page = Vec::new();
    clap_mangen::Man::new(C::command()).render(&mut page)?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(0)
}
