//! How a review is sealed: at once, signed here, or signed elsewhere.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use super::context::Context;
use super::exit::UsageError;
use super::{selection, session};
use crate::model::approval::Approval;
use crate::model::numbers::counted;
use crate::model::record::RunRecord;
use crate::model::review_terms::{ReviewRules, ReviewTerms};
use crate::model::run::RunId;
use crate::model::signature::NAMESPACE;
use crate::store::database::Store;
use crate::store::seal::{SealReport, SealRequest, SignedReview};

/// How a review is signed, where the job names approvers.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Signing {
    /// Sign with this SSH key: a private key, or the public half of one that an agent or a hardware key holds
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Seal nothing, and write what is to be signed to this file
    #[arg(long, value_name = "FILE", conflicts_with = "sign")]
    prepare: Option<PathBuf>,
    /// Seal what --prepare wrote and somebody signed
    #[arg(
        long,
        value_name = "FILE",
        requires = "signature",
        conflicts_with_all = ["sign", "prepare", "all", "condition", "order", "first", "comment"]
    )]
    seal: Option<PathBuf>,
    /// The signature of --seal, as `ssh-keygen -Y sign` writes it
    #[arg(long, value_name = "FILE", requires = "seal")]
    signature: Option<PathBuf>,
}

/// What the job of a run says about reviews.
///
/// # Errors
/// Where the job file cannot be used and the run asks for more than one person's word.
pub(super) fn rules(context: &Context, store: &Store, run: &RunRecord) -> Result<ReviewRules> {
    match session::job_of(store, &run.job) {
        Ok(job) => job.review_rules(context.zone()).map_err(|fault| anyhow!(fault)),
        // What such a run takes is known without its job file, and apply asks the job file again.
        Err(_) if store.review_terms(&run.id)? == ReviewTerms::default() => Ok(ReviewRules::default()),
        Err(error) => Err(error),
    }
}

impl Signing {
    /// With this key, where there is one.
    pub(super) fn with_key(sign: Option<PathBuf>) -> Self {
        Self { sign, ..Self::default() }
    }

    /// The key that is signed with.
    pub(super) fn key(&self) -> Option<&Path> {
        self.sign.as_deref()
    }

    /// The file of a review that was signed elsewhere, with its signature's.
    pub(super) fn signed(&self) -> Option<(&Path, &Path)> {
        Some((self.seal.as_deref()?, self.signature.as_deref()?))
    }

    /// Whether a review is only written for somebody to sign.
    pub(super) fn prepares(&self) -> bool {
        self.prepare.is_some()
    }

    /// Seals a review; `None` where it was only written for somebody to sign.
    ///
    /// # Errors
    /// [`UsageError`] where the job asks for a signature and none was offered, or the other way round.
    pub(super) fn seal(
        &self,
        context: &Context,
        store: &mut Store,
        request: SealRequest,
        rules: &ReviewRules,
    ) -> Result<Option<(SealRequest, SealReport)>> {
        let now = context.now();
        let run = request.run.clone();
        let asked = rules.terms.stricter(store.review_terms(&run)?).signed;
        let offered = self.sign.is_some() || self.prepare.is_some();
        let approvers = rules.approvers.as_ref().map(|(file, _)| file.display().to_string());
        if asked && !offered {
            let who = approvers.map_or_else(|| "its approvers".to_owned(), |file| format!("one of {file}"));
            let text = format!(
                "run {run} asks for approvals that are signed by {who}; nothing was sealed: add --sign KEY, or --prepare FILE to sign it elsewhere"
            );
            return Err(UsageError(text).into());
        }
        if offered && !asked {
            let text = "the job names no approvers, so that a signature would prove nothing; leave --sign and --prepare out, or name `review.approvers`";
            return Err(UsageError(text.to_owned()).into());
        }
        if !offered {
            let report = store.seal(&request, rules, now)?;
            return Ok(Some((request, report)));
        }
        let request = SealRequest { reviewer: None, ..request };
        let (approval, report) = store.draft(&request, rules, now)?;
        let Some(approval) = approval else { return Ok(Some((request, report))) };
        let bytes = approval.to_bytes();
        if let Some(file) = &self.prepare {
            prepare(context, file, &bytes, &run, &report)?;
            return Ok(None);
        }
        let Some(key) = &self.sign else { return Ok(None) };
        let signature = sign(&bytes, key)?;
        let review = SignedReview { file: key, bytes: &bytes, signature_file: key, signature: &signature };
        let (request, sealed) = store.seal_signed(&run, &review, rules, context.now())?;
        // What cannot be approved was left out before anything was signed.
        let report = SealReport { refused: report.refused, skipped: report.skipped, ..sealed };
        Ok(Some((request, report)))
    }
}

/// Seals a review that was signed elsewhere; gives its run too.
pub(super) fn seal_signed(
    context: &Context,
    store: &mut Store,
    of: &str,
    (file, signature_file): (&Path, &Path),
) -> Result<(RunRecord, SealRequest, SealReport)> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (bytes, signature) = (read(file)?, read(signature_file)?);
    // Only to find the run; what the file says is verified when it is sealed.
    let named = serde_json::from_slice::<Approval>(&bytes).ok().map(|approval| approval.run);
    let mut runs = selection::runs(store, of)?;
    let at = runs.iter().position(|run| Some(&run.id) == named.as_ref()).unwrap_or_default();
    let run = runs.swap_remove(at);
    let rules = rules(context, store, &run)?;
    let review = SignedReview { file, bytes: &bytes, signature_file, signature: &signature };
    let (request, report) = store.seal_signed(&run.id, &review, &rules, context.now())?;
    Ok((run, request, report))
}

fn prepare(context: &Context, file: &Path, bytes: &[u8], run: &RunId, report: &SealReport) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut output) => output
            .write_all(bytes)
            .with_context(|| format!("cannot write {}; check the room on its disk", file.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = format!("{} is there already; name another file, or remove it", file.display());
            return Err(UsageError(text).into());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write {}; check its folder", file.display())),
    }
    let file = file.display().to_string();
    say!(context, "run {run}: a review of {} is written to {file}, and nothing is sealed yet", decided(report));
    let [next, then] = to_sign(run, &file);
    say!(context, "next: {next}");
    say!(context, "then: {then}");
    Ok(())
}

/// How many orders a review decides.
pub(super) fn decided(report: &SealReport) -> String {
    let approved = report.approved.len() + report.approved_in_vain.len() + report.seconded.len();
    counted((approved + report.rejected.len()) as u64, "order")
}

/// How a review is signed elsewhere, and then sealed.
pub(super) fn to_sign(run: &RunId, file: &str) -> [String; 2] {
    [
        format!("ssh-keygen -Y sign -n {NAMESPACE} -f KEY {file}"),
        format!("muster approve {run} --seal {file} --signature {file}.sig"),
    ]
}

/// Has `ssh-keygen` sign, so that agents and hardware keys work as they do elsewhere.
fn sign(bytes: &[u8], key: &Path) -> Result<Vec<u8>> {
    let child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "ssh-keygen is not installed here, and --sign needs it; install OpenSSH's client, or sign on another machine: --prepare FILE"
        ),
        Err(error) => return Err(error).context("cannot start ssh-keygen"),
    };
    // Where it ends before it has read everything, its exit status says why.
    let written = child.stdin.take().map(|mut input| input.write_all(bytes));
    let output = child.wait_with_output().context("cannot wait for ssh-keygen")?;
    if !output.status.success() || !matches!(written, Some(Ok(()))) {
        bail!(
            "ssh-keygen did not sign with {} ({}); nothing was sealed: see its own words above, and name a private key, or the public half of one in the agent",
            key.display(),
            output.status
        );
    }
    Ok(output.stdout)
}
