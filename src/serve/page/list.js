// The list of orders, of which only what is seen exists; and what is decided on them.

/* The list: only what is seen exists */
const list = $("list"), rowsBox = $("rows"), spacer = $("spacer");
const drawn = new Map();
const rowHeight = () => (narrow.matches ? 84 : 44);
const headHeight = () => (narrow.matches ? 0 : 32);
const seen = () => Math.max(rowHeight(), list.clientHeight - headHeight());
const whole = () => view.total * rowHeight();
const most = () => Math.max(0, whole() - seen());
const tall = () => Math.min(whole(), TALLEST);
function syncScroll() {
  const room = Math.max(0, tall() - seen());
  list.scrollTop = most() ? (view.position / most()) * room : 0;
  syncScroll.top = list.scrollTop;
}
list.addEventListener("scroll", () => {
  if (Math.abs(list.scrollTop - (syncScroll.top ?? -9)) < 1) return;
  syncScroll.top = list.scrollTop;
  const room = Math.max(1, tall() - seen());
  view.position = Math.min(most(), (list.scrollTop / room) * most());
  later();
}, { passive: true });
// A million rows are higher than any element may be: there a wheel's turn is still a turn.
list.addEventListener("wheel", (event) => {
  if (whole() <= TALLEST || event.ctrlKey) return;
  event.preventDefault();
  const unit = event.deltaMode === 1 ? rowHeight() : event.deltaMode === 2 ? seen() : 1;
  view.position = Math.max(0, Math.min(most(), view.position + event.deltaY * unit));
  syncScroll();
  later();
}, { passive: false });
let isLater = false;
function later() {
  if (isLater) return;
  isLater = true;
  requestAnimationFrame(() => { isLater = false; draw(); });
}
function draw() {
  spacer.style.height = `${Math.max(tall(), view.total ? seen() : 0)}px`;
  rowsBox.style.height = `${Math.min(seen(), Math.max(whole(), 0))}px`;
  list.setAttribute("aria-rowcount", view.total + 1);
  view.position = Math.min(view.position, most());
  const height = rowHeight();
  const first = Math.max(0, Math.floor(view.position / height) - 4);
  const last = Math.min(view.total - 1, Math.ceil((view.position + seen()) / height) + 4);
  for (const [i, row] of drawn) if (i < first || i > last) { row.remove(); drawn.delete(i); }
  for (let i = first; i <= last; i += 1) {
    const data = rowAt(i);
    let row = drawn.get(i);
    const key = data ? JSON.stringify(data) + narrow.matches : "";
    if (!row || row.shownAs !== key) {
      const made = data ? rowOf(data, i) : h("div", { class: "row", role: "row", "aria-rowindex": i + 2 }, h("span", { role: "gridcell" }, "…"));
      made.shownAs = key;
      made.id = `row-${i}`;
      if (row) row.replaceWith(made); else rowsBox.append(made);
      drawn.set(i, made);
      row = made;
    }
    row.style.transform = `translateY(${(i * height - view.position).toFixed(2)}px)`;
    row.setAttribute("aria-selected", String(i === view.at));
  }
  if (view.total) list.setAttribute("aria-activedescendant", `row-${view.at}`);
  else list.removeAttribute("aria-activedescendant");
}
function rowAt(i) {
  const page = Math.floor(i / PAGE);
  const rows = view.pages.get(page);
  if (rows) return rows[i - page * PAGE];
  fetchPage(page);
  return null;
}
async function fetchPage(page) {
  if (view.asked.has(page)) return;
  view.asked.add(page);
  const serial = view.serial;
  try {
    const answer = await ask("orders", { run: state.run, offset: page * PAGE, limit: PAGE, ...asked() });
    if (serial !== view.serial) return;
    view.pages.set(page, answer.rows);
    if (view.pages.size > 60) view.pages.delete(view.pages.keys().next().value);
    later();
  } catch (error) { tell(error); }
  finally { view.asked.delete(page); }
}
function mark(row) {
  if (row.draft === "approve") return ["✓", "to approve"];
  if (row.draft === "reject") return ["✕", "to reject"];
  if (!row.approve && !row.reject) return ["·", "nothing to decide"];
  return ["", "not decided"];
}
function rowOf(row, i) {
  const [sign, said] = mark(row);
  // Where nothing changes but that two belong together, their names have the room.
  const name = row.name && row.change ? h("small", {}, " ", isolated(row.name)) : null;
  const who = h("span", { class: "who", role: "gridcell" }, row.was ? [isolated(row.was), " → "] : null, isolated(row.key), name);
  who.title = row.name ? `${row.key} (${row.name})` : row.key;
  const along = row.along ? h("span", { class: "gone-for-good" }, " takes along ", number(row.along)) : null;
  const change = h("span", { class: "change", role: "gridcell" }, isolated(row.change || row.name), row.more ? ` +${number(row.more)}` : "", along);
  const made = h("div", { class: `row ${row.draft || (!row.approve && !row.reject ? "fixed" : "")}`, role: "row", "aria-rowindex": i + 2 },
    h("span", { role: "gridcell" }, h("span", { class: "decision", "aria-hidden": "true" }, sign), hidden(said)),
    h("span", { class: "does", role: "gridcell" }, h("b", { class: TAKES.has(row.operation) ? "gone-for-good" : "" }, row.operation), " ", h("span", {}, isolated(row.resource))),
    who, change,
    h("span", { class: "state", role: "gridcell" }, stateTag(row)));
  made.addEventListener("click", () => { move(i); showDetail(row.n, narrow.matches).catch(tell); list.focus({ preventScroll: true }); });
  return made;
}
function stateTag(row) {
  const reason = row.state === "blocked" && (row.block && (row.block.reason || row.block));
  const kind = { blocked: "warn", approved: "yes", applied: "yes", rejected: "no", errored: "no", uncertain: "no" }[row.state] || "";
  return h("span", { class: `tag ${kind}` }, reason || STATES[row.state] || row.state);
}
function move(i) {
  if (!view.total) return;
  view.at = Math.max(0, Math.min(view.total - 1, i));
  const top = view.at * rowHeight();
  if (top < view.position) view.position = top;
  else if (top + rowHeight() > view.position + seen()) view.position = top + rowHeight() - seen();
  syncScroll();
  draw();
}
let following;
function follow() {
  clearTimeout(following);
  if (narrow.matches) return;
  following = setTimeout(() => { const row = rowAt(view.at); if (row) showDetail(row.n, false).catch(tell); }, 120);
}
const pageful = () => Math.max(1, Math.floor(seen() / rowHeight()) - 1);
list.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: pageful(), PageUp: -pageful(), Home: -Infinity, End: Infinity };
  if (event.key in steps) {
    event.preventDefault();
    move(view.at + steps[event.key]);
    follow();
  } else if (event.key === "Enter") {
    const row = rowAt(view.at);
    if (row) { event.preventDefault(); showDetail(row.n, true).catch(tell); }
  } else if ("aru".includes(event.key) && event.key.length === 1) {
    const row = rowAt(view.at);
    if (row) decide(row, { a: "approve", r: "reject", u: null }[event.key]);
  }
});

/* Deciding */
async function decide(row, decision) {
  try {
    const answer = await ask("decide", {}, { run: state.run, plan: state.over.plan, decision, places: [row.n] });
    drawDrafted(answer.draft);
    const done = { approve: "To approve", reject: "To reject" }[decision] || "Taken back";
    toast(`${done}: ${row.operation} ${row.key}`);
    await again();
  } catch (error) { tell(error); }
}
async function sweep(decision) {
  const before = view.counts;
  if (!before) return;
  const n = decision === "approve" ? before.approvable : decision === "reject" ? before.rejectable : before.decided;
  const what = isFiltered() ? `that match` : "of this run";
  const go = async () => {
    try {
      const query = Object.fromEntries(Object.entries(asked()).filter(([, value]) => value));
      const answer = await ask("decide", {}, { run: state.run, plan: state.over.plan, decision, query, count: before.total });
      drawDrafted(answer.draft);
      toast(decision ? `${counted(answer.decided, "order")} to ${decision}${answer.left_out ? `, ${number(answer.left_out)} left out: they cannot be decided so` : ""}` : `${counted(answer.decided, "decision")} taken back`);
      await again();
    } catch (error) { tell(error); await search(true).catch(tell); }
  };
  if (!decision || n < 2) { await go(); return; }
  const word_ = decision === "approve" ? "Approve" : "Reject";
  const left = before.total - n;
  open_(`${word_} ${counted(n, "order")}?`, [
    h("p", {}, `All ${number(n)} ${what}${filterWords()}. They are sealed later, together with everything else decided here.`),
    left ? h("p", {}, `${number(left)} ${left === 1 ? "other one that matches is" : "others that match are"} left out: ${left === 1 ? "it" : "they"} cannot be decided so as ${left === 1 ? "it stands" : "they stand"}.`) : null,
  ], [["Cancel", close_, "quiet"], [`${word_} ${number(n)}`, () => { close_(); go(); }, "primary"]]);
}
function filterWords() {
  const parts = Object.entries(asked()).filter(([key, value]) => value && key !== "sort").map(([key, value]) => (key === "q" ? `“${value}”` : `${key} ${value}`));
  return parts.length ? ` (${parts.join(", ")})` : "";
}
async function again() {
  await search(true);
  if (detailOf !== null) await showDetail(detailOf, false);
}
