// Everybody can use the page: axe-core finds nothing in either theme at four widths, and the keyboard reaches what a finger does.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { open, press } from "./page.mjs";
import { modules } from "./start.mjs";

const AXE = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");
const THEMES = ["light", "dark"];
const WIDTHS = [360, 768, 1040, 1440];

/** What axe-core finds, as `rule: element`. */
function findings(page) {
  return page.evaluate(`${AXE}; axe.run().then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ": " + target.join(" "))))`);
}

/** Every combination of theme and width, with the page as `act` leaves it: what axe finds in each. */
async function everywhere(t, given, act) {
  const found = {};
  const opened = await open(t, { reducedMotion: "reduce", ...given });
  for (const colorScheme of THEMES) {
    for (const width of WIDTHS) {
      await opened.page.emulateMedia({ colorScheme });
      await opened.page.setViewportSize({ width, height: 900 });
      await act(opened);
      found[`${colorScheme}, ${width}`] = await findings(opened.page);
    }
  }
  return found;
}

const nothing = Object.fromEntries(THEMES.flatMap((theme) => WIDTHS.map((width) => [`${theme}, ${width}`, []])));

test("axe finds nothing on the phones, the controls and the log, an alarm and an open row", async (t) => {
  let isReady = false;
  const found = await everywhere(t, { user: "axel" }, async ({ page, first, shot }) => {
    if (isReady) return;
    await first.login();
    await page.getByRole("button", { name: "Add a second phone" }).click();
    await press(page, "thief.steal");
    await press(page, "thief.owner");
    await page.locator(".alarm").waitFor();
    await first.tap("call6");
    await first.frame.locator("[data-result=tally]").waitFor();
    await press(page, "net.answer");
    await page.locator("#feed summary").first().click();
    await page.locator("#feed .inside").waitFor();
    await shot("access-playground");
    isReady = true;
  });

  assert.deepEqual(found, nothing);
});

test("axe finds nothing while a question is open", async (t) => {
  const found = await everywhere(t, { user: "anna" }, async ({ first }) => {
    if (await first.frame.locator("[role=dialog]").isVisible()) return;
    await first.login();
    await first.tap("phone");
    await first.frame.locator("[role=dialog]").waitFor();
  });

  assert.deepEqual(found, nothing);
});

test("axe finds nothing in a story that was told", async (t) => {
  const found = await everywhere(t, { at: "/#story=stolen" }, async ({ page }) => {
    while ((await page.locator("[data-number]").count()) === 0) {
      await page.locator("[data-key=next]:not([disabled])").click();
      await page.locator(".told-steps > li:last-child.is-done").waitFor();
    }
  });

  assert.deepEqual(found, nothing);
});

test("the focus stays in a question, and returns to where it was", async (t) => {
  const { page, first } = await open(t, { user: "finn" });
  await first.login();
  await first.key("phone").focus();
  await page.keyboard.press("Enter");
  await first.frame.locator("[role=dialog]").waitFor();
  const focused = () => page.evaluate(() => document.activeElement.className || document.activeElement.dataset.key);

  const visited = [await focused()];
  for (const key of ["Tab", "Tab", "Tab", "Shift+Tab"]) {
    await page.keyboard.press(key);
    visited.push(await focused());
  }
  assert.deepEqual(visited, ["yes", "no", "yes", "no", "yes"]);
  await page.keyboard.press("Escape");
  await first.toast("Phone number not shared");
  assert.equal(await focused(), "phone");

  await page.getByRole("button", { name: "Start over" }).focus();
  await page.keyboard.press("Enter");
  await page.locator("#over-dialog[open]").waitFor();
  for (const _ of [1, 2, 3, 4, 5]) {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog") !== null), true);
  }
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.id), "over");
});

test("everything stands in a landmark, and no two landmarks have the same name", async (t) => {
  const { page } = await open(t);
  await page.getByRole("button", { name: "Add a second phone" }).click();
  await page.locator("[data-phone=phone2]").waitFor();

  const named = await page.evaluate(() =>
    [...document.querySelectorAll("header.top, main, nav, section[aria-label]")]
      .filter((each) => each.checkVisibility())
      .map((each) => `${each.tagName} ${each.getAttribute("aria-label") ?? ""}`),
  );

  assert.equal(new Set(named).size, named.length, named.join(", "));
  assert.equal(named.filter((each) => each.startsWith("MAIN")).length, 1);
});
