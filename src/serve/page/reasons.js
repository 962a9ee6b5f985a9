// What to know before any order: what holds the run, what is blocked, what is told.

/* Reasons first */
function drawHolds() {
  const over = state.over;
  // What somebody is typing stays.
  const typing = $("holds").querySelector("form textarea");
  if (typing && over.holds.some((hold) => hold.name === typing.dataset.hold && hold.open && hold.draft === null)) return;
  $("holds").replaceChildren(...over.holds.map(holdCard));
}
function holdCard(hold) {
  const kind = { suspicion: "Suspicion about a snapshot", snapshot: "Limit on a snapshot", plan: "Limit on the plan" }[hold.kind] || "Hold";
  const word = hold.draft !== null ? "will be accepted when this is sealed" : "holds this run";
  const card = h("article", { class: `card hold${hold.open ? (hold.draft !== null ? " drafted-hold" : "") : " accepted"}`, "aria-label": hold.shown });
  const buttons = h("div", { class: "row-of-buttons" });
  if (!hold.open) return closedHold(hold, kind, card);
  card.append(h("header", {}, h("div", {}, h("p", { class: "word" }, `${kind}: ${word}`), h("p", { class: "sentence" }, isolated(hold.sentence))), buttons));
  card.append(...factsOf(hold));
  if (hold.open && hold.draft !== null) {
    card.append(h("p", { class: "first" }, "Reason: ", isolated(hold.draft)));
    buttons.append(h("button", { type: "button", onclick: () => accept(hold, null) }, "Take back"));
  } else if (hold.open) {
    const open = h("button", { type: "button" }, "Accept…");
    open.addEventListener("click", () => {
      open.hidden = true;
      const id = `why-${hold.name}`;
      const text = h("textarea", { id, rows: 2, maxlength: 2000, required: true });
      text.dataset.hold = hold.name;
      const cancel = h("button", { type: "button", class: "quiet", onclick: () => { form.remove(); open.hidden = false; open.focus(); } }, "Cancel");
      const form = h("form", { onsubmit: (event) => { event.preventDefault(); const reason = text.value; form.remove(); accept(hold, reason); } },
        h("label", { for: id }, "Why is that as it should be? It stands in the log for good."), text,
        h("div", { class: "row-of-buttons" }, h("button", { type: "submit", class: "primary" }, "Accept this limit"), cancel));
      card.append(form);
      text.focus();
    });
    buttons.append(open);
  }
  return card;
}
// What the rows or orders behind a hold have in common, and the first of them.
function factsOf(hold) {
  const parts = [];
  if (hold.facts.length || hold.rest) {
    const all = hold.explained;
    const fact = (count, text) => {
      const what = h("span", { class: "what" }, isolated(text));
      what.style.backgroundSize = `${(count / Math.max(1, all)) * 100}% 100%`;
      return h("li", {}, h("span", { class: "of" }, `${number(count)} of ${number(all)}`), what);
    };
    parts.push(h("ul", { class: "facts", "aria-label": "What they have in common" }, hold.facts.map((one) => fact(one.count, one.text)),
      hold.rest ? fact(hold.rest, hold.facts.length ? "for other reasons" : "nothing in common") : null));
  }
  if (hold.first.length) {
    const more = hold.all ? hold.all - hold.first.length : 0;
    parts.push(h("p", { class: "first" }, "First: ", hold.first.map((key, i) => [i ? ", " : "", h("span", { class: "mono" }, isolated(key))]), more > 0 ? ` and ${number(more)} more` : ""));
  }
  return parts;
}
// What does not hold the run any more is told in a line.
function closedHold(hold, kind, card) {
  card.append(h("details", {}, h("summary", {}, `${kind}, does not hold it any more: `, isolated(hold.sentence)), factsOf(hold)));
  return card;
}
async function accept(hold, reason) {
  try {
    const body = { run: state.run, name: hold.name, figure: hold.figure };
    if (reason !== null) body.reason = reason;
    const answer = await ask("accept", {}, body);
    drawDrafted(answer.draft);
    toast(reason === null ? "Not accepted any more" : "To be accepted; it counts once this is sealed");
    if (answer.fallen) banner(`${counted(answer.fallen, "approval")} fell away with it.`);
  } catch (error) { tell(error); }
  await refresh().catch(tell);
}
function drawBlocked() {
  const over = state.over;
  const box = $("blocked");
  box.hidden = !over.blocked.length;
  box.replaceChildren(h("section", { class: "card", "aria-labelledby": "blocked-title" }, h("h2", { id: "blocked-title" }, "Blocked orders"),
    over.blocked.map((one) => h("div", { class: "reason-row" },
      h("span", { class: "n" }, number(one.count)),
      h("span", {}, h("b", {}, one.reason), h("span", { class: "way" }, one.way_out)),
      h("button", { type: "button", "aria-label": `Show orders blocked for ${one.reason}`, onclick: () => filterBy({ state: "blocked", block: one.reason }) }, "Show")))));
}
function drawNotes() {
  const over = state.over, wants = over.wants;
  const notes = [], lists = [];
  for (const why of over.refusals) notes.push(why);
  if (wants) {
    notes.push(...wants.warnings);
    for (const grace of wants.grace) notes.push(`${grace.sync}: ${counted(grace.objects, "object")} wait${grace.objects === 1 ? "s" : ""} for ${grace.objects === 1 ? "its" : "their"} delete${grace.due ? `; the first becomes due ${grace.due}` : ""}`);
    if (wants.withheld_all) lists.push([`${counted(wants.withheld_all, "change")} wanted and not raised again, because of an earlier rejection or undoing`, wants.withheld, wants.withheld_all]);
    if (wants.reverts && wants.reverts.left.length) lists.push([`${counted(wants.reverts.left.length, "order")} left as they are at the target`, wants.reverts.left, wants.reverts.left.length]);
  }
  if (over.reviewers > 1) notes.push(`An order needs ${over.reviewers} reviewers; yours counts as one.`);
  if (over.signature.failure) notes.push(over.signature.failure);
  else if (over.signature.asked && !over.signature.with) notes.push("The job asks for signed reviews. This page was opened without a key: it gives you the file to sign and the two commands. `muster review … --serve --sign KEY` signs here.");
  const box = $("notes");
  const irreversible = wants && wants.irreversible;
  box.hidden = !notes.length && !lists.length && !irreversible;
  box.replaceChildren(h("section", { class: "card", "aria-labelledby": "notes-title" }, h("h2", { id: "notes-title" }, "To know"),
    irreversible ? h("div", { class: "reason-row" }, h("span", { class: "n" }, number(irreversible)), h("span", {}, h("b", { class: "gone-for-good" }, "cannot be undone"), h("span", { class: "way" }, "once applied; each says why")),
      h("button", { type: "button", "aria-label": "Show orders that cannot be undone", onclick: () => filterBy({ only: "irreversible" }) }, "Show")) : null,
    notes.length ? h("ul", { class: "notes" }, notes.map((note) => h("li", {}, isolated(note)))) : null,
    lists.map(([title, lines, all]) => h("details", {}, h("summary", {}, title),
      h("ul", { class: "notes" }, lines.map((line) => h("li", {}, isolated(line))), all > lines.length ? h("li", {}, `and ${number(all - lines.length)} more, in the run's plan.json`) : null)))));
}
