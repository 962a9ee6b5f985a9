// Reviews a run as a person would who never saw a terminal, by mouse and by keyboard, wide and narrow, bright and dark.
//
//   node drive.mjs review URL [FOLDER]     the whole review, sealed at its end; screenshots go to FOLDER
//   node drive.mjs large URL COUNT         a list of COUNT orders: how long it takes, and that it does not stutter
//   node drive.mjs gone URL PID            what is shown when the server is killed
//   node drive.mjs kept URL [FOLDER]       the page of a run that is kept as a file; screenshots go to FOLDER
import assert from "node:assert/strict";
import { accessible, fits, open, shows, text } from "./page.mjs";

const [what, url, extra] = process.argv.slice(2);
const sizes = { wide: { width: 1280, height: 860 }, narrow: { width: 390, height: 844 } };

async function everywhere(browser, name, only = Object.keys(sizes)) {
  const { page } = browser;
  for (const [size, viewport] of Object.entries(sizes).filter(([size]) => only.includes(size))) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(100);
      await browser.shot(`${name}-${size}-${colorScheme}`);
      await accessible(page, `${name}, ${size}, ${colorScheme}`);
      await fits(page, `${name}, ${size}`);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  if (only.includes("wide")) await page.setViewportSize(sizes.wide);
}

async function review() {
  const browser = await open(url, extra);
  const { page } = browser;
  await shows(page, "#lead", "It is held");
  await shows(page, "#count", /^\d+ orders/);
  await everywhere(browser, "overview");

  // The reasons come first: a limit with what its orders have in common.
  await shows(page, "#holds .hold .sentence", "vault.users/update/count");
  await shows(page, "#holds .facts", "10 of 12");
  await shows(page, "#blocked", "incomplete");
  await shows(page, ".counts", "over its limit of 5");

  // By keyboard alone: search, into the list, all of one order.
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.keyboard.type("alert(1)");
  await shows(page, "#count", /^1 of /);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await shows(page, "#detail .changes", "<script>alert(1)</script>");
  await shows(page, "#detail .facts-of", "E0002");
  await everywhere(browser, "order");
  await page.locator("#detail").getByRole("button", { name: "Explain every step" }).click();
  await shows(page, "#detail pre.steps", "compare");
  await page.keyboard.press("Escape");

  // Names that would turn the line around are spelled out.
  await page.locator("#search").fill("gpj.exe");
  await shows(page, "#rows .row", "\\u{202e}gpj.exe");
  await page.locator("#search").fill("");

  // What is blocked for good cannot be approved.
  await page.locator("#blocked").getByRole("button", { name: "incomplete" }).click();
  await shows(page, "#rows .row", "incomplete");
  await page.locator("#list").focus();
  await page.keyboard.press("a");
  await shows(page, "#banner", "cannot be decided like this");
  await page.locator("#banner-close").click();
  await everywhere(browser, "blocked");

  // A limit is accepted with a reason, and only then its orders can be approved.
  const hold = page.locator("#holds .hold").first();
  await hold.getByRole("button", { name: "Accept…" }).click();
  await page.keyboard.type("the department is called so now");
  await hold.getByRole("button", { name: "Accept this limit" }).click();
  await shows(page, "#holds .hold .word", "will be accepted when this is sealed");

  // One order by key, a group, and all that match.
  await page.locator(".counts").getByRole("button", { name: "disable" }).click();
  await shows(page, "#rows .row", "disable");
  await page.keyboard.press("r");
  await shows(page, "#drafted", "1 to reject");
  await page.locator("#filter-operation").selectOption("update");
  await shows(page, "#count", "of");
  await page.locator("#approve-all").click();
  const asked = await text(page, "#dialog");
  assert.match(asked, /Approve 1\d orders\?/);
  await everywhere(browser, "sweep");
  await page.locator("#dialog .primary").click();
  await shows(page, "#drafted", /1\d to approve · 1 to reject · 1 limit to accept · not sealed yet/);

  // Sealing says what it means, wants a reason, and tells what is next.
  await page.locator("#seal").click();
  await shows(page, "#dialog", /1\d orders approved, 1 rejected, \d+ left, 1 limit accepted/);
  await everywhere(browser, "seal");
  await page.locator("#dialog .primary").click();
  await shows(page, "#dialog .warned[role=alert]", "Say in a few words why");
  await page.locator("#comment").fill("HR-2291, looked at each");
  await page.locator("#dialog .primary").click();
  await shows(page, "#dialog h2", "Sealed");
  await shows(page, "#dialog .command", "muster apply ");
  await everywhere(browser, "sealed");
  await page.keyboard.press("Escape");
  await shows(page, "#drafted", "Nothing decided yet");
  await shows(page, "#lead", "approved");

  // On a telephone: a list, and all of an order as a sheet.
  await page.setViewportSize(sizes.narrow);
  await page.locator("#show-filters").click();
  await page.locator("#filter-operation").selectOption("create");
  await page.locator("#filter-state").selectOption("pending-review");
  await shows(page, "#rows .row", "waiting");
  await page.locator("#rows .row").first().click();
  await page.locator("#detail.sheet").waitFor();
  await page.locator("#detail").getByRole("button", { name: "Approve" }).click();
  await shows(page, "#detail button[aria-pressed=true]", "Will be approved");
  await everywhere(browser, "sheet", ["narrow"]);
  await page.locator("#detail").getByRole("button", { name: "Back to the orders" }).click();
  await page.locator("#detail.sheet").waitFor({ state: "detached" });
  // Leaving with something that is not sealed asks first.
  await page.close({ runBeforeUnload: true });
  await page.waitForEvent("close").catch(() => {});
  const warned = browser.wrong.filter((one) => one.startsWith("dialog"));
  assert.equal(warned.length, 1, "leaving asks first");
  const rest = browser.wrong.filter((one) => !one.startsWith("dialog") && !one.includes("409"));
  assert.deepEqual(rest, []);
  await browser.close();
}

async function large() {
  const browser = await open(url);
  const { page, began } = browser;
  await page.waitForFunction(() => document.getElementById("lead").textContent.includes("order"));
  const painted = Date.now() - began;
  const all = Number(extra).toLocaleString("en-US");
  await page.waitForFunction((all) => document.getElementById("count").textContent.includes(all), all, { timeout: 120_000 });
  await page.locator("#rows .row").first().waitFor();
  const listed = Date.now() - began;
  // Only what is seen exists.
  assert.ok((await page.locator("#rows .row").count()) < 60);
  const times = await page.evaluate(async () => {
    const count = document.getElementById("count"), input = document.getElementById("search");
    const times = [];
    for (const typed of ["family77", "e00042", "z", "user0 vertrieb", ""]) {
      const before = count.textContent;
      input.value = typed;
      const began = performance.now();
      input.dispatchEvent(new Event("input"));
      while (count.textContent === before && performance.now() - began < 5000) await new Promise((go) => setTimeout(go, 2));
      times.push([typed, Math.round(performance.now() - began)]);
    }
    return times;
  });
  // To the very end, and every row on the way is drawn within a frame or two.
  await page.locator("#list").focus();
  await page.keyboard.press("End");
  await page.waitForFunction((last) => document.querySelector(`#row-${last} .who`), Number(extra) - 1, { timeout: 10_000 });
  const jumps = await page.evaluate(async () => {
    const list = document.getElementById("list");
    const frames = [];
    let last = performance.now();
    for (let i = 0; i < 120; i += 1) {
      list.scrollTop = ((i * 37) % 120) / 120 * list.scrollHeight;
      await new Promise((go) => requestAnimationFrame(go));
      const now = performance.now();
      frames.push(now - last);
      last = now;
    }
    frames.sort((a, b) => a - b);
    return { half: Math.round(frames[60]), most: Math.round(frames[119]) };
  });
  console.log(JSON.stringify({ painted, listed, times, jumps }));
  assert.deepEqual(browser.wrong, []);
  await browser.close();
}

async function gone() {
  const browser = await open(url);
  const { page } = browser;
  await shows(page, "#count", "order");
  process.kill(Number(extra), "SIGKILL");
  await shows(page, "#banner", "muster does not answer any more");
  await accessible(page, "gone");
  await browser.close();
}

async function kept() {
  const browser = await open(url, extra);
  const { page } = browser;
  await shows(page, "h1", "corp: ");
  await everywhere(browser, "kept");
  await page.evaluate(() => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
  await everywhere(browser, "kept-open");
  assert.deepEqual(browser.wrong, []);
  await browser.close();
}

await { review, large, gone, kept }[what]();
