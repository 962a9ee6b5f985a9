// A browser on the review page: what it does, what it sees, and what it must never do.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function open(url, shots) {
  const profile = mkdtempSync(join(tmpdir(), "muster-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
    viewport: { width: 1280, height: 860 },
    permissions: [],
  });
  const page = context.pages()[0] || (await context.newPage());
  const wrong = [];
  const origin = new URL(url).origin;
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => { if (message.type() === "error") wrong.push(`console: ${message.text()}`); });
  page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.accept(); });
  page.on("request", (request) => { if (!/^(blob:)/.test(request.url()) && new URL(request.url()).origin !== origin) wrong.push(`asked elsewhere: ${request.url()}`); });
  const began = Date.now();
  await page.goto(url);
  // A file has no origin, and stays where it is.
  if (origin !== "null") await page.waitForURL(`${origin}/`);
  return {
    page,
    // When its address was opened.
    began,
    // Errors that are expected are named; nothing else may go wrong.
    wrong,
    async shot(name) { if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: origin === "null" }); },
    async close() { await context.close(); rmSync(profile, { recursive: true, force: true }); },
  };
}

// Fails on any violation that axe-core finds. It is put in by the debugger, past the page's policy.
export async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  const told = violations.map((one) => `${one.id} (${one.impact}): ${one.help}\n${one.nodes.slice(0, 5).map((node) => `    ${node.html}\n      ${node.failureSummary}`).join("\n")}`);
  assert.equal(violations.length, 0, `${where}:\n${told.join("\n")}`);
}

// Nothing is wider than the window.
export async function fits(page, where) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= window, `${where}: ${wide} pixels in a window of ${window}`);
}

export async function text(page, selector) {
  return (await page.locator(selector).innerText()).trim();
}

export async function shows(page, selector, what) {
  const deadline = Date.now() + 10_000;
  let found = "";
  while (Date.now() < deadline) {
    found = await page.locator(selector).first().innerText().catch(() => "");
    if (what instanceof RegExp ? what.test(found) : found.includes(what)) return found;
    await page.waitForTimeout(50);
  }
  assert.fail(`${selector} never showed ${what}; it shows: ${found}`);
}
