// The runs that the page is about, and what changed, here and elsewhere.

/* The pulse: what changed, here and elsewhere */
async function pulse() {
  const answer = await ask("pulse");
  const before = state.pulse;
  state.pulse = answer;
  drawRuns(before);
  const mine = answer.runs.find((run) => run.run === state.run);
  if (!mine) { await choose((answer.runs.at(-1) || {}).run); return; }
  if (answer.trouble) banner("What others do cannot be followed just now: " + answer.trouble, true);
  else if (answer.ends_in < 180 && answer.ends_in > 0) {
    banner(`Nobody has used this page for a while: it ends in ${counted(Math.ceil(answer.ends_in / 60), "minute")}${unsealed() ? ", and what is decided here and not sealed is gone then" : ""}. Any click goes on.`);
    state.warnedIdle = true;
  } else if (state.warnedIdle) { state.warnedIdle = false; $("banner").hidden = true; }
  drawDrafted(mine.draft);
  const known = state.over;
  if (!known || known.generation !== mine.generation || Boolean(known.reading) !== Boolean(mine.reading)) {
    await refresh();
  } else if (mine.reading) {
    drawReading(mine.reading);
  }
}
function beat() {
  const reading = state.over && state.over.reading;
  setTimeout(() => pulse().catch(tell).finally(beat), isGone ? 3000 : reading ? 250 : 2000);
}
const unsealed = () => (state.pulse ? state.pulse.runs : []).some((r) => r.draft.approve + r.draft.reject + r.draft.accept > 0);

async function choose(run) {
  if (!run) return;
  state.run = run;
  state.past = null;
  state.query = {};
  view.at = 0; view.position = 0;
  $("search").value = "";
  closeDetail();
  drawRuns();
  await refresh(true);
}
async function refresh(isNew) {
  const run = state.run;
  const over = await ask("overview", { run });
  if (run !== state.run) return;
  $("runs").value = run;
  const fallen = over.draft.fallen - ((state.over && !isNew && state.over.draft.fallen) || 0);
  state.over = over;
  drawOver();
  if (fallen > 0) banner(`${counted(fallen, "decision")} fell away: something else became of these orders or limits meanwhile.`);
  if (over.wants && !state.past) {
    state.past = { limits: [], earlier: null };
    ask("past", { run }).then((answer) => {
      if (run !== state.run) return;
      state.past = answer;
      drawLead();
      drawPictures();
    }).catch(tell);
  }
  await search(true);
  if (detailOf !== null) await showDetail(detailOf, false);
}

/* The top */
function drawRuns(before) {
  const runs = state.pulse.runs;
  const key = JSON.stringify(runs.map((run) => [run.run, run.held, run.draft.revision]));
  if (before && key === drawRuns.key && $("runs").value === state.run) return;
  drawRuns.key = key;
  $("runs-label").hidden = runs.length < 2;
  $("runs").replaceChildren(...runs.map((run) => {
    const n = run.draft.approve + run.draft.reject + run.draft.accept;
    const option = h("option", { value: run.run }, `${run.started}${run.held ? " · held" : ""}${n ? ` · ${number(n)} drafted` : ""}`);
    option.selected = run.run === state.run;
    return option;
  }));
}
function drawDrafted(draft) {
  const parts = [];
  if (draft.approve) parts.push(`${number(draft.approve)} to approve`);
  if (draft.reject) parts.push(`${number(draft.reject)} to reject`);
  if (draft.accept) parts.push(`${counted(draft.accept, "limit")} to accept`);
  const text = parts.length ? `${parts.join(" · ")} · not sealed yet` : "Nothing decided yet";
  if ($("drafted").textContent !== text) $("drafted").textContent = text;
  $("drafted").classList.toggle("some", parts.length > 0);
  $("seal").disabled = !parts.length || draft.sealing;
  state.draft = draft;
  const mine = state.pulse && state.pulse.runs.find((run) => run.run === state.run);
  if (mine) mine.draft = draft;
}
