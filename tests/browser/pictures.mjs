// Makes the pictures in the READMEs: the playground, and the first story told, in both languages and themes.
//
//     npm ci --prefix target/browser && node tests/browser/pictures.mjs
//
// Needs `img2webp` (Debian's package webp), and what the tests need. A picture may not be larger than 600 KiB.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch, root, startLaptop } from "./start.mjs";

const FOLDER = `${root}infra/local/playground/pictures`;
const LANGUAGES = { en: "en-GB", zh: "zh-CN" };
const THEMES = ["light", "dark"];
const LARGEST = 600 * 1024;

/** How long a frame is seen: while something goes on, when a step has ended, and at the end, in milliseconds. */
const [BRIEF, STEP, END] = [350, 2200, 5000];

mkdirSync(FOLDER, { recursive: true });
const browser = await launch();
try {
  for (const [language, locale] of Object.entries(LANGUAGES)) {
    for (const theme of THEMES) {
      await make(`playground.${language}.${theme}`, { locale, theme, size: [1280, 800] }, playground);
      await make(`story.${language}.${theme}`, { locale, theme, size: [1080, 860] }, story);
    }
  }
} finally {
  await browser.close();
}

/** One picture, moving if `act` keeps more than one frame. */
async function make(name, { locale, theme, size: [width, height] }, act) {
  const folder = mkdtempSync(join(tmpdir(), "wxauth-picture-"));
  const given = { locale, colorScheme: theme, viewport: { width, height }, reducedMotion: "reduce", deviceScaleFactor: 1.5 };
  const context = await browser.newContext(given);
  // A clock that nobody has moved yet.
  const laptop = await startLaptop();
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const frames = [];
  const keep = async (duration) => {
    const path = join(folder, `${frames.length}.jpeg`);
    // JPEG, because a large PNG takes longer than what it should show.
    await page.screenshot({ path, type: "jpeg", quality: 95 });
    frames.push("-d", String(duration), path);
  };
  await act(page, keep, laptop.url);
  await context.close();
  laptop.stop();
  const file = `${FOLDER}/${name}.webp`;
  execFileSync("img2webp", ["-loop", "0", "-lossy", "-q", "80", "-m", "6", ...frames, "-o", file], { stdio: "ignore" });
  rmSync(folder, { recursive: true });
  const { size } = statSync(file);
  console.log(`${name}.webp: ${Math.ceil(size / 1024)} KiB, ${frames.length / 3} frames`);
  if (size > LARGEST) throw new Error(`${name} is too large`);
}

/** Six requests after the access token has run out. */
async function playground(page, keep, url) {
  await page.goto(url);
  const phone = page.locator("[data-phone=phone1]");
  await phone.locator("[data-key=login]").click();
  await phone.locator("[data-generation='0']").waitFor();
  await page.locator("[data-key='time.access']").click();
  await page.locator("#feed .note").waitFor();
  await phone.locator("[data-key=call6]").click();
  await phone.locator("[data-result=tally]").waitFor();
  await page.locator("#feed li[data-path='/v1/refresh'] .verdict").waitFor();
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement.blur());
  await phone.locator(".page").evaluate((inner) => (inner.scrollTop = 0));
  await keep(END);
}

async function story(page, keep, url) {
  await page.goto(`${url}/#story=fifty`);
  const isDone = (step) => page.locator(`[data-step=${step}].is-done`).count();
  const next = page.locator("[data-key=next]:not([disabled])");
  for (const step of ["login", "over", "page"]) {
    await page.locator(`[data-step=${step}]`).waitFor();
    while (!(await isDone(step))) {
      await keep(BRIEF);
      await page.waitForTimeout(100);
    }
    await next.waitFor();
    await page.waitForTimeout(1500);
    await page.evaluate(() => document.activeElement.blur());
    if (step === "page") break;
    await keep(STEP);
    await next.click();
  }
  await keep(END);
}
