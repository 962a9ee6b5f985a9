//! Shell completions, made of the table of commands.

use super::stdout::print;

/// `muster completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster completions bash > /etc/bash_completion.d/muster\n  muster completions zsh > /usr/local/share/zsh/site-functions/_muster\n  muster completions fish > /etc/fish/completions/muster.fish"
)]
pub(super) struct Args {
    /// The shell to complete in
    shell: clap_complete::Shell,
}

/// Prints completions to standard output.
pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "muster", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
