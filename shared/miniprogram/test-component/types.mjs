// The types under `tsc --strict`: what must compile does, with and without the platform's typings, and what must not does not.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { need } from "./modules.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const packageOf = (name) => path.dirname(need.resolve(`${name}/package.json`));
const tsc = path.join(packageOf("typescript"), "bin/tsc");
const typings = path.join(packageOf("miniprogram-api-typings"), "index.d.ts");

/** What the compiler says of samples, by file and line: `bad.ts:12 TS2322`. */
async function complaints(samples, typed) {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    target: "ES2020",
    lib: ["ES2020"],
    module: "ESNext",
    moduleResolution: "Bundler",
    types: [],
    paths: { "wxauth-miniprogram": [path.join(here, "../index.d.ts")] },
  };
  const files = [...samples.map((name) => path.join(here, "types", name)), ...(typed ? [typings] : [])];
  const folder = path.join(packageOf("typescript"), "../../types");
  mkdirSync(folder, { recursive: true });
  const project = path.join(folder, `${typed ? "typed" : "plain"}.json`);
  writeFileSync(project, JSON.stringify({ compilerOptions, files }));
  const output = await new Promise((done) => execFile(process.execPath, [tsc, "-p", project, "--pretty", "false"], (_, stdout) => done(stdout)));
  const found = [...output.matchAll(/^(.*?)\((\d+),\d+\): error (TS\d+): (.*)$/gm)];
  assert.ok(found.length > 0 || output.trim() === "", output);
  return found.map(([, file, line, code, text]) => ({ at: `${path.basename(file)}:${line} ${code}`, text }));
}

/** What a sample says of itself: the number of an error at the end of its line. */
function announced(sample) {
  const lines = readFileSync(path.join(here, "types", sample), "utf8").split("\n");
  return lines.flatMap((line, index) => (/ \/\/ TS\d+$/.test(line) ? [`${sample}:${index + 1} ${line.split("// ").pop()}`] : []));
}

const told = (found) => found.map(({ at, text }) => `${at} ${text}`).join("\n");

test("what must compile does, and what must not does not, each line for its own reason", async () => {
  const found = await complaints(["good.ts", "bad.ts"], true);
  assert.deepEqual(found.map(({ at }) => at), announced("bad.ts"), told(found));
});

test("without the platform's typings everything else is checked all the same", async () => {
  const found = await complaints(["plain.ts"], false);
  assert.deepEqual(found.map(({ at }) => at), announced("plain.ts"), told(found));
});
