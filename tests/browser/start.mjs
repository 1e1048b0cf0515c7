// Starts what the tests and the pictures need: the laptop's process, and a browser.
//
// WXAUTH_LOCAL names the laptop's program, WXAUTH_BROWSER_MODULES the folder with playwright-core, CHROMIUM the browser.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** Finds the packages that the tests use. */
export const modules = createRequire(`${process.env.WXAUTH_BROWSER_MODULES ?? `${root}target/browser/node_modules`}/`);
const { chromium } = modules("playwright-core");

const QUIET = [
  "no-sandbox",
  "disable-gpu",
  "disable-quic",
  "no-first-run",
  "disable-background-networking",
  "disable-component-update",
  "disable-sync",
];

/** A laptop that keeps nothing, and where its page is. */
export async function startLaptop() {
  const [api, wechat] = [await freePort(), await freePort()];
  const flags = ["--memory", "--listen", `127.0.0.1:${api}`, "--wechat-listen", `127.0.0.1:${wechat}`];
  const laptop = spawn(process.env.WXAUTH_LOCAL ?? `${root}target/debug/local`, flags, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((ready, broken) => {
    laptop.once("error", broken);
    laptop.once("exit", (code) => broken(new Error(`the laptop ended with ${code}`)));
    laptop.stdout.on("data", (text) => String(text).includes("wxauth is ready") && ready());
  });
  return { url: `http://127.0.0.1:${api}`, stop: () => laptop.kill() };
}

export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: QUIET.map((flag) => `--${flag}`) });
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}
