// Sealing, dialogs, and what the hands do. This comes last.

/* Sealing */
async function seal() {
  let sum;
  try { sum = await ask("summary", { run: state.run }); } catch (error) { tell(error); return; }
  const decided = (decision) => sum.groups.filter((group) => group.decision === decision);
  const table = h("table", { class: "sums" }, h("caption", { class: "hide" }, "What is decided"), h("tbody", {},
    [["approve", "Approve"], ["reject", "Reject"]].flatMap(([decision, word_]) => decided(decision).map((group) =>
      h("tr", {}, h("td", { class: "n" }, number(group.count)), h("td", {}, `${word_}: ${group.operation} `, isolated(group.resource))))),
    h("tr", {}, h("td", { class: "n" }, number(sum.left)), h("td", {}, "left as they are"))));
  const text = h("textarea", { id: "comment", rows: 3, maxlength: 4000, required: true, "aria-describedby": "comment-help" });
  const elsewhere = sum.signature.asked && !sum.signature.with;
  const problem = h("p", { class: "warned", role: "alert" });
  const head = `${counted(sum.approve, "order")} approved, ${number(sum.reject)} rejected, ${number(sum.left)} left${sum.accepted.length ? `, ${counted(sum.accepted.length, "limit")} accepted` : ""}`;
  const confirm = async () => {
    if (!text.value.trim()) { problem.textContent = "Say in a few words why: it stands in the log for good."; text.focus(); return; }
    const buttons = $("dialog").querySelectorAll("button");
    buttons.forEach((button) => { button.disabled = true; });
    problem.textContent = "";
    working.textContent = sum.signature.with ? "Signing and sealing … where the key has a passphrase, it is asked in the terminal." : "Sealing …";
    try {
      const answer = await ask(elsewhere ? "prepare" : "seal", {}, { run: state.run, revision: sum.revision, comment: text.value });
      if (elsewhere) prepared(answer); else sealed(answer, head);
    } catch (error) {
      problem.textContent = error.message;
      working.textContent = "";
      buttons.forEach((button) => { button.disabled = false; });
    }
    if (!elsewhere) { await pulse().catch(tell); await refresh().catch(tell); }
  };
  const working = h("p", { role: "status" });
  open_("Seal this review?", [
    h("p", {}, h("b", {}, head), "."),
    table,
    sum.accepted.map((one) => h("p", {}, "Accepted at ", isolated(one.figure), ": ", h("b", {}, isolated(one.name)), " – ", isolated(one.reason))),
    sum.words.map((words) => h("p", { class: "warned" }, words, ".")),
    sum.still_held.length && sum.approve ? h("p", {}, "The run stays held by ", h("b", {}, isolated(sum.still_held.join(", "))), ": nothing of it is sent before that is accepted.") : null,
    h("label", { for: "comment" }, "Why"),
    text,
    h("p", { id: "comment-help", class: "under" }, `By ${sum.reviewer}. The approval holds until ${sum.until || "the job says"}; it stands in the log for good. Nothing is sent yet.`),
    elsewhere ? h("p", {}, "The job asks for a signature: this gives you the file to sign, and seals nothing yet.") : null,
    problem, working,
  ], [["Cancel", close_, "quiet"], [elsewhere ? "Prepare to sign" : "Seal", confirm, "primary"]], text);
}
function commandBox(command) {
  const button = h("button", { type: "button", onclick: async () => {
    try { await navigator.clipboard.writeText(command); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = "Selected"; }
  } }, "Copy");
  const code = h("code", {}, command);
  return h("div", { class: "command" }, code, button);
}
function sealed(answer, head) {
  open_("Sealed", [
    h("p", {}, h("b", {}, head), "."),
    answer.next.length ? [h("p", {}, "Next, in a terminal:"), answer.next.map(commandBox),
      answer.next.some((command) => command.startsWith("muster apply")) ? h("p", { class: "under" }, "It sends one order of each kind first and reads it back, then more at a time. A timer that calls muster run does the same by itself.") : null] : h("p", {}, "Nothing is left to be typed for it."),
    h("pre", { class: "steps", tabindex: 0, "aria-label": "What sealing came to" }, answer.lines.join("\n")),
  ], [["Close", close_, "primary"]]);
}
function prepared(answer) {
  const file = URL.createObjectURL(new Blob([answer.review], { type: "application/json" }));
  open_("To be signed", [
    h("p", {}, "1. Save the review: ", h("a", { href: file, download: "review.json" }, "review.json")),
    h("p", {}, "2. Sign and seal it, in the folder where it lies now:"),
    answer.next.map(commandBox),
    h("p", { class: "under" }, "Nothing is sealed before that. What is decided here stays until this page ends."),
    h("pre", { class: "steps", tabindex: 0, "aria-label": "What is to be signed" }, answer.lines.join("\n")),
  ], [["Close", close_, "primary"]]);
}

/* Dialogs */
function open_(title, body, buttons, focus) {
  const dialog = $("dialog");
  dialog.replaceChildren(h("h2", { id: "dialog-title" }, title), ...body.flat(9).filter(Boolean),
    h("div", { class: "row-of-buttons" }, buttons.map(([text, action, kind]) => h("button", { type: "button", class: kind, onclick: action }, text))));
  if (!dialog.open) dialog.showModal();
  (focus || dialog.querySelector("button.primary") || dialog).focus();
}
function close_() { $("dialog").close(); }
function keys() {
  const rows = [["↓ ↑, Page, Home, End", "move in the list"], ["Enter", "all of an order; Esc goes back"], ["a", "approve the order"], ["r", "reject it"], ["u", "take that back"], ["/", "search"], ["?", "this"]];
  open_("Keys, and the end", [
    h("table", { class: "keys" }, h("tbody", {}, rows.map(([key, does]) => h("tr", {}, h("td", {}, h("kbd", {}, key)), h("td", {}, does))))),
    h("p", {}, "Words in the search all have to be in an order: key, name, values, reasons, ids. What stands in \"quotes\" is one."),
    h("p", {}, "What is decided is kept in memory, by the muster that shows this page, until it is sealed. When that ends, it is gone."),
  ], [["End this page…", endPage, "quiet"], ["Close", close_, "primary"]]);
}
function endPage() {
  open_("End this page?", [h("p", {}, unsealed() ? "Decisions are not sealed yet: they will be gone." : "Nothing is left to be sealed.")],
    [["Cancel", close_, "quiet"], ["End it", async () => {
      try { state.ended = true; await ask("end", {}, {}); } catch (error) { /* it is gone, as it should be */ }
      close_();
      $("app").replaceChildren(h("main", { class: "ended" }, h("h1", {}, "The page has ended"), h("p", { class: "lead" }, "This window can be closed. `muster review … --serve` opens it again, at a new address.")));
    }, "primary"]]);
}

/* Hands on */
$("runs").addEventListener("change", () => choose($("runs").value).catch(tell));
$("seal").addEventListener("click", () => seal());
$("more").addEventListener("click", keys);
$("approve-all").addEventListener("click", () => sweep("approve"));
$("reject-all").addEventListener("click", () => sweep("reject"));
$("clear-all").addEventListener("click", () => sweep(null));
$("banner-close").addEventListener("click", () => { $("banner").hidden = true; });
$("show-filters").addEventListener("click", () => {
  const isOpen = $("filters").classList.toggle("open");
  $("show-filters").setAttribute("aria-expanded", String(isOpen));
});
document.addEventListener("click", () => { if (state.warnedIdle) refresh().catch(tell); });
let typed;
$("search").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(() => { view.at = 0; search().catch(tell); }, 60); });
$("search").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); list.focus({ preventScroll: true }); }
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest && event.target.closest("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); $("search").focus(); $("search").select(); }
  if (event.key === "?") { event.preventDefault(); keys(); }
});
addEventListener("beforeunload", (event) => { if (!state.ended && !isGone && unsealed()) event.preventDefault(); });
new ResizeObserver(() => draw()).observe(list);

closeDetail();
pulse().catch((error) => { tell(error); if (error.status === 403) $("lead").textContent = error.message; }).finally(beat);
