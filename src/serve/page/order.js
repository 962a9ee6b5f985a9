// All of one order.

/* All of one order */
async function showDetail(n, focus) {
  const serial = (showDetail.serial = (showDetail.serial || 0) + 1);
  const order = await ask("order", { run: state.run, n });
  if (serial !== showDetail.serial) return;
  const isOther = detailOf !== n;
  detailOf = n;
  const box = $("detail");
  const steps = isOther ? null : box.querySelector(".steps");
  const scrolled = isOther ? 0 : box.scrollTop;
  const active = box.contains(document.activeElement) ? document.activeElement.dataset.act : null;
  box.replaceChildren(...detail(order, steps));
  box.scrollTop = scrolled;
  if (active) { const again_ = box.querySelector(`[data-act="${active}"]`); if (again_) again_.focus(); }
  if (focus) {
    if (narrow.matches) sheet(true);
    box.focus();
  }
}
function sheet(isOpen) {
  const box = $("detail");
  box.classList.toggle("sheet", isOpen);
  for (const other of document.querySelectorAll(".top, #banner, .wants, .reasons, .tools, .sweep, .list")) other.inert = isOpen;
  if (isOpen) { box.setAttribute("role", "dialog"); box.setAttribute("aria-modal", "true"); }
  else { box.removeAttribute("role"); box.removeAttribute("aria-modal"); }
}
function closeDetail() {
  detailOf = null;
  sheet(false);
  $("detail").replaceChildren(h("p", { class: "empty", id: "detail-title" }, "Choose an order to see all of it: before and after, why it is wanted, and what hangs on it."));
}
narrow.addEventListener("change", () => { sheet(false); draw(); });
$("detail").addEventListener("keydown", (event) => {
  if (event.key === "Escape") { event.preventDefault(); sheet(false); $("list").focus({ preventScroll: true }); }
});
function detail(order, steps) {
  const act = (word_, decision, kind, may) => {
    const isOn = order.draft === decision;
    const button = h("button", { type: "button", class: kind, "aria-pressed": String(isOn), onclick: () => decide(order, isOn ? null : decision) }, isOn ? `Will be ${decision === "approve" ? "approved ✓" : "rejected ✕"}` : word_);
    button.disabled = !may && !isOn;
    button.dataset.act = decision;
    return button;
  };
  const parts = [
    h("div", { class: "back" }, h("button", { type: "button", onclick: () => { sheet(false); $("list").focus({ preventScroll: true }); } }, "← Back to the orders")),
    h("h2", { id: "detail-title" }, `${order.operation[0].toUpperCase()}${order.operation.slice(1)} `, order.was ? [isolated(order.was), " → "] : null, isolated(order.key)),
    h("p", { class: "under" }, order.name && order.name !== order.key ? [isolated(order.name), " · "] : null, isolated(order.resource)),
    h("div", { class: "tags" }, stateTag(order), h("span", { class: "tag" }, order.situation), h("span", { class: "tag" }, `cause: ${order.cause}`),
      order.was ? h("span", { class: "tag" }, "rename") : null,
      order.confidence < 100 ? h("span", { class: "tag warn" }, `${order.confidence} % sure`) : null,
      order.irreversible ? h("span", { class: "tag no" }, "cannot be undone") : null),
    h("div", { class: "acts row-of-buttons" }, act("Approve", "approve", "yes", order.approve), act("Reject", "reject", "no", order.reject)),
  ];
  if (order.block) parts.push(h("div", { class: "block" }, h("b", {}, `Blocked, ${order.block.reason}: `), isolated(order.block.detail), h("div", {}, order.block.way_out)));
  if (order.takes_along.length) parts.push(h("div", { class: "along" }, h("b", {}, "Takes along:"), h("ul", {}, order.takes_along.map((what) => h("li", {}, isolated(what))))));
  if (order.irreversible) parts.push(h("p", { class: "along" }, h("b", {}, "Cannot be undone: "), isolated(order.irreversible)));
  if (order.approved) parts.push(h("p", { class: "under" }, order.approved.holds ? `Approved${order.approved.by ? ` by ${order.approved.by}` : ""}, until ${order.approved.until}.` : `Its approval ${order.approved.number} does not hold any more.`));
  if (order.seconded) parts.push(h("p", { class: "under" }, `Approved by ${order.seconded.by.length} of ${order.seconded.of}: ${order.seconded.by.join(", ")}.`));
  if (order.changes.length) parts.push(h("h3", {}, order.operation === "create" ? "What it is made with" : "Before and after"), changesTable(order));
  if (order.ends.length) {
    parts.push(h("h3", {}, "Ties"), h("dl", { class: "facts-of" }, order.ends.flatMap((end) => [h("dt", {}, end.name),
      h("dd", {}, isolated(end.label), h("span", { class: "under" }, ` · ${end.resource}`), end.order ? [", made by ", link(end.order)] : null)])));
  }
  const why = [["Reason", isolated(order.reason)]];
  if (order.sync) why.push(["Rule", isolated(order.sync)]);
  if (order.source_key) why.push(["Source row", h("span", { class: "mono" }, isolated(order.source_key))]);
  if (order.target_id) why.push(["At the target", h("span", { class: "mono" }, isolated(order.target_id))]);
  if (order.confidence < 100) why.push(["Match", `${order.confidence} % sure that they are the same`]);
  if (order.thresholds.length) why.push(["Counted by", order.thresholds.join(", ")]);
  if (order.undoes) why.push(["Undoes", h("span", { class: "mono" }, order.undoes)]);
  why.push(["Order", h("span", { class: "mono" }, order.id)]);
  parts.push(h("h3", {}, "Why"), h("dl", { class: "facts-of" }, why.flatMap(([name, what]) => [h("dt", {}, name), h("dd", {}, what)])));
  if (order.needs.length) parts.push(h("h3", {}, "Needs first"), h("ul", { class: "chain" }, order.needs.map((other) => h("li", {}, link(other)))));
  if (order.needed_by_all) {
    const more = order.needed_by_all - order.needed_by.length;
    parts.push(h("h3", {}, `Needed by ${counted(order.needed_by_all, "order")}`), h("ul", { class: "chain" }, order.needed_by.map((other) => h("li", {}, link(other))),
      more > 0 ? h("li", {}, h("button", { type: "button", class: "link", onclick: () => { filterBy({}); $("search").value = order.id; search().catch(tell); } }, `and ${number(more)} more`)) : null),
    h("p", { class: "under" }, "If this one is rejected, they are blocked."));
  }
  if (steps) parts.push(h("h3", {}, "Every step"), steps);
  else {
    const box = h("div", {});
    const button = h("button", { type: "button", onclick: async () => {
      button.disabled = true;
      button.textContent = "Looking …";
      try {
        const answer = await ask("why", { run: state.run, n: order.n });
        box.replaceChildren(h("h3", {}, "Every step"), h("pre", { class: "steps", tabindex: 0, "aria-label": "Every step that leads to this order" }, answer.text));
      } catch (error) {
        box.replaceChildren(h("p", { class: "under" }, error.message || String(error)));
      }
    } }, "Explain every step");
    box.append(h("h3", {}, "The chain that leads here"), button, h("p", { class: "under" }, "Read, scope, mapping, match, comparison, decision: from the newest snapshots, without asking any system."));
    parts.push(box);
  }
  return parts;
}
function link(other) {
  const text = other.key === undefined ? [other.id] : [`${other.operation} `, isolated(other.key), ` (${other.draft ? `to ${other.draft}` : STATES[other.state] || other.state}${other.run ? `, of run ${other.run}` : ""})`];
  if (other.n === undefined) return h("span", {}, ...text);
  return h("button", { type: "button", class: "link", onclick: () => showDetail(other.n, true).catch(tell) }, ...text);
}
function changesTable(order) {
  const isNew = order.operation === "create";
  return h("table", { class: "changes" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Attribute"), isNew ? null : h("th", { scope: "col" }, "Before"), h("th", { scope: "col" }, isNew ? "Value" : "After"))),
    h("tbody", {}, order.changes.map((change) => {
      const [before, after] = sides(change.before, change.after);
      const cause = change.cause !== order.cause ? h("small", {}, `cause: ${change.cause}`) : null;
      const refers = change.refers ? h("small", {}, "refers to ", isolated(change.refers)) : null;
      return h("tr", {}, h("th", { scope: "row" }, broken(change.attribute), cause), isNew ? null : h("td", { "data-label": "before" }, before), h("td", { "data-label": isNew ? null : "after" }, after, refers));
    })));
}
// A long name may go on in the next line where it has a joint.
const broken = (name) => h("bdi", {}, name.split(/(?<=[:.])/).flatMap((part) => [part, h("wbr")]));
// Both values side by side, with what differs marked.
function sides(before, after) {
  const absent = () => h("span", { class: "absent" }, "absent");
  if (before && after && (before.length > 1 || after.length > 1)) {
    const [old, now] = [new Set(before), new Set(after)];
    return [h("ul", {}, before.map((value) => h("li", {}, now.has(value) ? isolated(value) : h("del", {}, isolated(value))))),
      h("ul", {}, after.map((value) => h("li", {}, old.has(value) ? isolated(value) : h("ins", {}, isolated(value)))))];
  }
  const many = (values) => (values.length === 1 ? shown(values[0]) : h("ul", {}, values.map((value) => h("li", {}, shown(value)))));
  if (!before || !after) return [before ? many(before) : absent(), after ? many(after) : absent()];
  const [a, b] = [[...before[0]], [...after[0]]];
  let start = 0, end = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const part = (name, text) => h("bdi", {}, text.slice(0, start).join(""), text.length - start - end > 0 ? h(name, {}, text.slice(start, text.length - end).join("")) : "", text.slice(text.length - end).join(""));
  // What has hardly anything in common is shown whole.
  if (start + end < Math.min(a.length, b.length) / 3) return [h("del", {}, shown(before[0])), h("ins", {}, shown(after[0]))];
  return [part("del", a), part("ins", b)];
}
const shown = (text) => (text.trim() === text && text !== "" ? isolated(text) : h("bdi", {}, `"${text}"`));
