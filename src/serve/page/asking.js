// The review page. Everything that comes from outside is set as text; nothing is ever parsed as markup. The files of
// this folder are put together to one; this comes first.

const $ = (id) => document.getElementById(id);
const word = localStorage.getItem("muster-word") || "";
const number = (n) => Number(n).toLocaleString("en-US");
const counted = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
const narrow = matchMedia("(max-width: 820px)");
const SVG = "http://www.w3.org/2000/svg";
const PAGE = 100;          // rows asked for at once
const TALLEST = 12_000_000; // pixels; browsers draw no higher element

// What is known. `view` is what the list shows.
const state = { run: null, pulse: null, over: null, past: null, query: {}, ended: false };
const view = { total: 0, all: 0, pages: new Map(), asked: new Set(), at: 0, position: 0, serial: 0, counts: null };
let detailOf = null;

/* Elements */
function h(name, props = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
function svg(name, props = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(props)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const isolated = (text) => h("bdi", {}, text);
const hidden = (text) => h("span", { class: "hide" }, text);

/* Asking */
class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}
async function ask(path, params, body) {
  const address = new URL("/api/" + path, location.origin);
  for (const [key, value] of Object.entries(params || {})) {
    if (value !== undefined && value !== null && value !== "") address.searchParams.set(key, value);
  }
  const options = { headers: { "x-muster-page": word }, cache: "no-store", credentials: "same-origin", redirect: "error" };
  if (body) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response, answer;
  try {
    response = await fetch(address, options);
    answer = await response.json();
  } catch (error) {
    gone();
    throw new Refused(0, "muster does not answer any more");
  }
  back();
  if (!response.ok) throw new Refused(response.status, answer.error || "muster refused that");
  return answer;
}
function tell(error) {
  if (error instanceof Refused) {
    if (error.status !== 0) banner(error.message, true);
  } else {
    banner("The page itself went wrong: " + error.message, true);
    throw error;
  }
}
let isGone = false;
function gone() {
  if (state.ended || isGone) return;
  isGone = true;
  banner("muster does not answer any more: it was ended, or this machine slept. What was sealed stands; what was only decided here is gone with it. Start `muster review … --serve` again.", true);
  document.body.classList.add("gone");
}
function back() {
  if (!isGone) return;
  isGone = false;
  document.body.classList.remove("gone");
  $("banner").hidden = true;
}
function banner(text, bad) {
  $("banner-text").textContent = text;
  $("banner").classList.toggle("bad", Boolean(bad));
  $("banner").hidden = false;
}
let toastTimer;
function toast(text) {
  clearTimeout(toastTimer);
  $("toast").textContent = text;
  toastTimer = setTimeout(() => { $("toast").textContent = ""; }, 5000);
}
