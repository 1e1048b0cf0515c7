// The types of the adapters under `tsc --strict`, as each way to resolve a module finds them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const { install } = createRequire(import.meta.url)("../test-support/packed");
const samples = fileURLToPath(new URL("types", import.meta.url));
const adapters = fileURLToPath(new URL("../../../target/adapters", import.meta.url));
const packages = path.join(adapters, "uni/node_modules");
const project = path.join(adapters, "types");

install(path.join(project, "node_modules"));
if (!existsSync(path.join(project, "node_modules/vue"))) symlinkSync(path.join(packages, "vue"), path.join(project, "node_modules/vue"));
cpSync(samples, project, { recursive: true });

/** What a sample says of itself: the number of an error at the end of its line. */
const announced = (sample) =>
  readFileSync(path.join(samples, sample), "utf8")
    .split("\n")
    .flatMap((line, index) => (/ \/\/ TS\d+$/.test(line) ? [`${sample}:${index + 1} ${line.split("// ").pop()}`] : []));

for (const [module, moduleResolution] of [["ESNext", "Bundler"], ["NodeNext", "NodeNext"], ["CommonJS", "Node10"]]) {
  test(`with the resolution ${moduleResolution} what must compile does, and what must not does not`, () => {
    const compilerOptions = { strict: true, noEmit: true, skipLibCheck: true, target: "ES2020", lib: ["ES2020", "DOM"], module, moduleResolution, types: [] };
    const config = path.join(project, `${moduleResolution}.json`);
    writeFileSync(config, JSON.stringify({ compilerOptions, files: ["good.ts", "bad.ts"] }));
    const { stdout } = spawnSync(process.execPath, [path.join(packages, "typescript/bin/tsc"), "-p", config, "--pretty", "false"], { encoding: "utf8" });
    const found = [...stdout.matchAll(/^(.*?)\((\d+),\d+\): error (TS\d+): /gm)].map(([, file, line, code]) => `${path.basename(file)}:${line} ${code}`);
    assert.deepEqual(found, announced("bad.ts"), stdout);
  });
}
