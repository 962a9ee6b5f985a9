// Which orders are shown: by what is typed and chosen.

/* Choosing orders */
const STATES = { "pending-review": "waiting", blocked: "blocked", approved: "approved", rejected: "rejected", "in-flight": "under way", applied: "applied", errored: "errored", stale: "stale", uncertain: "uncertain", superseded: "superseded" };
function drawFilters() {
  const over = state.over;
  if (!over.facets) { $("filters").replaceChildren(); return; }
  const choice = (key, label, options, name) => {
    if (options.length < 2 && !state.query[key]) return null;
    const id = `filter-${key}`;
    const select = h("select", { id, class: state.query[key] ? "set" : "" }, h("option", { value: "" }, `${label}: all`),
      options.map(([value, n]) => {
        const option = h("option", { value }, `${name ? name(value) : value}${n === null ? "" : ` (${number(n)})`}`);
        option.selected = state.query[key] === value;
        return option;
      }));
    select.addEventListener("change", () => { state.query[key] = select.value || undefined; select.classList.toggle("set", Boolean(select.value)); view.at = 0; search().catch(tell); });
    return h("span", {}, h("label", { class: "hide", for: id }, label), select);
  };
  const pairs = (counts) => Object.entries(counts || {}).filter(([, n]) => n > 0);
  const only = { irreversible: "cannot be undone", rename: "renames", unsure: "matched below 100 %", "takes-along": "take something along" };
  $("filters").replaceChildren(...[
    choice("state", "State", pairs(over.states), (word) => STATES[word] || word),
    choice("operation", "Operation", pairs(over.facets.operation)),
    choice("resource", "Resource", pairs(over.facets.resource)),
    choice("cause", "Cause", pairs(over.facets.cause)),
    choice("block", "Blocked for", over.blocked.map((one) => [one.reason, one.count])),
    pairs(over.facets.only).length ? choice("only", "Only", [...pairs(over.facets.only), ["", null]].filter(([v]) => v), (word) => only[word]) : null,
    choice("draft", "Decided here", [["approve", null], ["reject", null], ["open", null]], (word) => ({ approve: "to approve", reject: "to reject", open: "not yet" })[word]),
    choice("sort", "Sequence", [["key", null], ["plan", null]], (word) => ({ key: "by key", plan: "as planned" })[word]),
  ].filter(Boolean));
}
function filterBy(query) {
  state.query = query;
  $("search").value = "";
  view.at = 0;
  drawFilters();
  search().catch(tell);
  $("orders").scrollIntoView({ block: "start" });
  $("list").focus({ preventScroll: true });
}
const isFiltered = () => Boolean($("search").value.trim()) || Object.entries(state.query).some(([key, value]) => value && key !== "sort");
const asked = () => ({ ...state.query, q: $("search").value.trim() || undefined });

// Asks for the list anew. With `stay` it stands where it was.
async function search(stay) {
  if (!state.over || !state.over.wants || !state.over.wants.orders) return;
  const serial = ++view.serial;
  const from = stay ? Math.floor(view.position / rowHeight() / PAGE) : 0;
  let answer;
  try {
    answer = await ask("orders", { run: state.run, offset: from * PAGE, limit: PAGE, ...asked() });
  } catch (error) {
    if (serial !== view.serial || error.status === 0) throw error;
    view.total = 0; view.pages.clear();
    $("count").textContent = "";
    $("none").hidden = false;
    $("none").textContent = error.message;
    drawSweep(null);
    draw();
    return;
  }
  if (serial !== view.serial) return;
  view.asked.clear();
  if (answer.reading) { drawReading(answer.reading); view.total = 0; view.pages.clear(); drawSweep(null); draw(); return; }
  view.pages = new Map([[from, answer.rows]]);
  view.total = answer.total;
  view.all = answer.all;
  view.counts = answer;
  if (!stay) { view.position = 0; $("list").scrollTop = 0; }
  view.at = Math.min(view.at, Math.max(0, view.total - 1));
  drawSweep(answer);
  // All of one order is of the list beside it.
  if (!stay && detailOf !== null && !narrow.matches) { if (view.total) follow(); else closeDetail(); }
  $("none").hidden = view.total > 0;
  $("none").textContent = view.all ? "No order matches. Clear the search or a filter." : "This run raised no orders.";
  draw();
}
function drawSweep(answer) {
  const total = answer ? answer.total : 0;
  if (answer) {
    const some = isFiltered() ? `${number(total)} of ${counted(view.all, "order")}` : counted(total, "order");
    $("count").textContent = some + (answer.decided ? ` · ${number(answer.decided)} decided here` : "");
  }
  const set = (id, n, word_) => {
    $(id).disabled = !n;
    $(id).textContent = !n ? `${word_} all` : isFiltered() ? (n === 1 ? `${word_} the one that matches` : `${word_} the ${number(n)} that match`) : n === 1 ? `${word_} one` : `${word_} all ${number(n)}`;
  };
  set("approve-all", answer && answer.approvable, "Approve");
  set("reject-all", answer && answer.rejectable, "Reject");
  $("clear-all").disabled = !answer || !answer.decided;
}
