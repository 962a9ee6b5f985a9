// What a run wants, in one picture.

/* At a glance */
const TAKES = new Set(["disable", "delete", "remove"]);
function drawOver() {
  const over = state.over;
  document.title = `${over.job}: review`;
  $("job").textContent = over.job;
  $("started").textContent = `run ${over.run}, of ${over.started}, started by ${over.starter}`;
  $("started").title = $("started").textContent;
  drawDrafted(over.draft);
  drawLead();
  drawPictures();
  drawHolds();
  drawBlocked();
  drawNotes();
  $("reasons").hidden = !over.holds.length && $("blocked").hidden && $("notes").hidden;
  $("orders").hidden = !over.wants || !over.wants.orders;
  drawFilters();
}
function drawReading(reading) {
  const part = reading.of ? Math.floor((reading.read / reading.of) * 100) : 0;
  const bar = h("progress", { max: 100, value: part, "aria-label": "Reading the orders" });
  $("count").replaceChildren(`Reading and checking the orders … ${part} % `, bar);
  $("none").hidden = true;
}
function drawLead() {
  const over = state.over, lead = $("lead");
  const parts = [];
  const say = (...what) => parts.push(...what, " ");
  if (over.failure) say(h("span", { class: "warned failure" }, over.failure));
  if (over.wants) {
    const wants = over.wants;
    if (wants.reverts) say(`It undoes run ${wants.reverts.run}.`);
    if (!wants.orders && over.state === "held-snapshot") say("No new orders so far.");
    else if (!wants.orders) say("No new orders: both sides are as the job wants them, or what is wanted is ordered already.");
    else say(h("b", {}, counted(wants.orders, "order")), ".");
    const at = over.states;
    const stands = [];
    if (at["pending-review"]) stands.push([number(at["pending-review"]), at["pending-review"] === 1 ? " waits for a decision" : " wait for a decision"]);
    if (at.blocked) stands.push([number(at.blocked), at.blocked === 1 ? " is blocked" : " are blocked"]);
    for (const [word, name] of [["approved", "approved"], ["rejected", "rejected"], ["applied", "applied"], ["errored", "errored"], ["uncertain", "uncertain"], ["in-flight", "under way"], ["stale", "stale"], ["superseded", "superseded"]]) {
      if (at[word]) stands.push([number(at[word]), ` ${name}`]);
    }
    stands.forEach(([n, text], i) => parts.push(h("b", {}, n), text, i < stands.length - 1 ? ", " : ". "));
    if (over.held && over.state === "held-snapshot") say(h("span", { class: "warned" }, "It is held by a snapshot: what depends on that is not planned until it is accepted."));
    else if (over.held) say(h("span", { class: "warned" }, "It is held: whatever is approved, nothing of it is sent until what holds it is accepted."));
    if (wants.first_load.length) say(`First load of ${wants.first_load.join(", ")}: limits in numbers hold it, percentages not yet.`);
  }
  if (over.stage) say(over.stage);
  if (over.note && !over.wants) say(over.note);
  const earlier = state.past && state.past.earlier;
  if (earlier && earlier.kept) say(`${counted(earlier.kept, "order")} of earlier runs still wanted, where ${earlier.kept === 1 ? "it was" : "they were"}.`);
  if (earlier && earlier.superseded) say(`${counted(earlier.superseded, "order")} of earlier runs superseded.`);
  lead.replaceChildren(...parts);
}
// A limit as a number of objects; null where it says nothing at this size.
function inNumbers(reach) {
  if (!reach.percent) return reach.limit;
  return reach.first_load || reach.size < reach.floor ? null : Math.floor((reach.limit * reach.size) / 100);
}
const limitText = (reach) => (reach.percent ? `${reach.limit} %` : number(reach.limit));
function drawPictures() {
  const over = state.over;
  const cards = [];
  if (over.wants && over.wants.orders) cards.push(countsCard(over));
  const earlier = state.past && state.past.earlier;
  const sizes = over.wants && earlier ? earlier.sizes.filter((size) => size.now || size.after || size.past.length) : [];
  if (sizes.length) cards.push(sizesCard(sizes));
  $("pictures").replaceChildren(...cards);
  $("pictures").hidden = !cards.length;
}
function countsCard(over) {
  const limits = state.past ? state.past.limits : [];
  const used = new Set();
  const rows = [];
  const byResource = new Map();
  for (const one of over.wants.counts) {
    if (!byResource.has(one.resource)) byResource.set(one.resource, []);
    byResource.get(one.resource).push(one);
  }
  const of = (resource, operation) => limits
    .filter((reach) => reach.name === `${resource}/${operation}/${reach.percent ? "percent" : "count"}`);
  let most = 1;
  for (const one of over.wants.counts) {
    most = Math.max(most, one.count, ...of(one.resource, one.operation).map((reach) => Math.max(reach.figure || 0, inNumbers(reach) || 0)).filter((n) => n <= one.count * 4));
  }
  const bodies = [];
  for (const [resource, ones] of byResource) {
    const renames = over.wants.renames[resource];
    const body = h("tbody", {}, h("tr", {}, h("th", { class: "resource", colspan: 4, scope: "rowgroup" }, isolated(resource),
      renames ? h("span", { class: "under" }, ` · of these ${counted(renames, "rename")}`) : null)));
    for (const one of ones) {
      const own = of(one.resource, one.operation);
      own.forEach((reach) => used.add(reach.name));
      const binding = own.filter((reach) => inNumbers(reach) !== null).sort((a, b) => inNumbers(a) - inNumbers(b))[0];
      const figure = binding && binding.figure > one.count ? binding.figure : one.count;
      const over_ = binding && figure > inNumbers(binding);
      const chosen = () => filterBy({ operation: one.operation, resource: one.resource });
      let told = "";
      if (binding) told = `${over_ ? "over its limit of " : "limit "}${binding.percent ? `${binding.limit} % = ` : ""}${number(inNumbers(binding))}${figure > one.count ? `, with ${number(figure - one.count)} earlier` : ""}`;
      else if (own.length) told = "limit in percent, not at this size";
      body.append(h("tr", { class: over_ ? "over" : "" },
        h("th", { scope: "row" }, h("button", { class: "link", type: "button", onclick: chosen, title: "Show these orders" }, one.operation)),
        h("td", { class: "n" }, number(one.count)),
        h("td", { class: "bar" }, bar(one.count, binding ? inNumbers(binding) : null, most, TAKES.has(one.operation))),
        h("td", { class: "limit" }, told)));
    }
    bodies.push(body);
  }
  rows.push(h("table", { class: "counts" },
    h("caption", { class: "hide" }, "Orders by resource type and operation, against their limits"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Operation"), h("th", { scope: "col", class: "n" }, "Orders"), h("td", {}), h("th", { scope: "col" }, "Limit"))),
    bodies));
  const others = limits.filter((reach) => !used.has(reach.name));
  if (others.length) {
    rows.push(h("details", { class: "others" }, h("summary", {}, `${counted(others.length, "other limit")} in force`),
      h("table", {}, h("thead", { class: "hide" }, h("tr", {}, h("th", {}, "Limit"), h("th", {}, "Counted"), h("th", {}, "Most"))),
        h("tbody", {}, others.map((reach) => {
          const most_ = inNumbers(reach);
          const isOver = most_ !== null && reach.figure !== null && reach.figure > most_;
          return h("tr", {}, h("th", { scope: "row" }, isolated(reach.name)), h("td", { class: "n" }, reach.figure === null ? "" : number(reach.figure)),
            h("td", {}, isOver ? h("b", { class: "warned" }, `over ${limitText(reach)}`) : `of ${limitText(reach)}`));
        })))));
  }
  if (state.past && state.past.failure) rows.push(h("p", { class: "others" }, `Limits cannot be shown: ${state.past.failure}`));
  return h("section", { class: "card", "aria-labelledby": "counts-title" }, h("h2", { id: "counts-title" }, "Orders ", h("small", {}, "against their limits")), rows);
}
function bar(value, limit, most, takes) {
  const width = (n) => `${Math.min(100, Math.max(n > 0 ? 0.6 : 0, (n / most) * 100))}%`;
  const drawing = svg("svg", { "aria-hidden": "true", focusable: "false" },
    svg("rect", { class: "ground", x: 0, y: 6, width: "100%", height: 2 }),
    svg("rect", { class: takes ? "fill takes" : "fill", x: 0, y: 1, width: width(value), height: 12, rx: 2 }));
  if (limit !== null && limit <= most) {
    const x = `${(limit / most) * 100}%`;
    drawing.append(svg("line", { class: "tick", x1: x, x2: x, y1: -2, y2: 16 }));
  }
  return drawing;
}
function sizesCard(sizes) {
  const row = (size) => {
    const change = [];
    if (size.more) change.push(`${number(size.more)} more`);
    if (size.less) change.push(`${number(size.less)} less`);
    if (size.disabled) change.push(`${number(size.disabled)} disabled`);
    return h("div", { class: "size" },
      h("p", {}, h("b", {}, isolated(size.name)), h("span", {}, h("b", {}, number(size.now)), size.after === size.now ? " stay" : [" → ", h("b", {}, number(size.after))], change.length ? ` (${change.join(", ")})` : "")),
      curve(size));
  };
  const columns = sizes.map((size) => new Map(size.past.map((past) => [past.at, past.size])));
  const times = [...new Set(sizes.flatMap((size) => size.past.map((past) => past.at)))].sort();
  const cells = (of) => sizes.map((size, i) => h("td", { class: "n" }, of(size, i)));
  return h("section", { class: "card", "aria-labelledby": "sizes-title" },
    h("h2", { id: "sizes-title" }, "Managed at the target ", h("small", {}, "over the last runs, and after this one")),
    sizes.map(row),
    h("details", { class: "others" }, h("summary", {}, "As a table"),
      h("div", { class: "wide", tabindex: 0, role: "group", "aria-label": "Sizes over the last runs" }, h("table", {},
        h("thead", {}, h("tr", {}, h("td", {}), sizes.map((size) => h("th", { scope: "col", class: "n" }, isolated(size.name))))),
        h("tbody", {}, times.map((at) => h("tr", {}, h("th", { scope: "row" }, at), cells((_, i) => (columns[i].has(at) ? number(columns[i].get(at)) : "")))),
          h("tr", {}, h("th", { scope: "row" }, "this run finds"), cells((size) => number(size.now))),
          h("tr", {}, h("th", { scope: "row" }, "after it, if all is applied"), cells((size) => number(size.after))))))));
}
function curve(size) {
  const points = [...size.past.map((past) => past.size), size.now, size.after];
  const low = Math.min(...points), high = Math.max(...points);
  const [width, height, gap] = [200, 40, 7];
  const x = (i) => gap + (i / Math.max(1, points.length - 1)) * (width - 2 * gap);
  const y = (n) => (high === low ? height / 2 : height - gap - ((n - low) / (high - low)) * (height - 2 * gap));
  const place = (i) => `${x(i).toFixed(1)},${y(points[i]).toFixed(1)}`;
  const last = points.length - 1;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false", preserveAspectRatio: "xMidYMid meet" });
  if (last > 1) drawing.append(svg("polyline", { class: "line", points: points.slice(0, last).map((_, i) => place(i)).join(" ") }));
  drawing.append(svg("line", { class: "then", x1: x(last - 1), y1: y(size.now), x2: x(last), y2: y(size.after) }));
  drawing.append(svg("circle", { class: "dot", cx: x(last - 1), cy: y(size.now), r: 3.5 }), svg("circle", { class: "dot now", cx: x(last), cy: y(size.after), r: 4 }));
  return drawing;
}
