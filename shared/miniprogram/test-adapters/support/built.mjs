// Builds a sample project by the tool of its framework, with the package as npm would install it.

import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const { install } = createRequire(import.meta.url)("../../test-support/packed");
const here = fileURLToPath(new URL("..", import.meta.url));
const root = path.join(here, "../../..");

/** Builds `project` in `target`, where its packages are. Gives the folders of what was built and of the packages. */
export function build(project, [program, ...flags], output) {
  const folder = path.join(root, "target/adapters", project);
  const modules = path.join(folder, "node_modules");
  for (const name of ["src", output]) rmSync(path.join(folder, name), { recursive: true, force: true });
  cpSync(path.join(here, project), folder, { recursive: true, filter: (name) => !name.endsWith("package-lock.json") });
  install(modules);
  const began = Date.now();
  const { status, stdout, stderr } = spawnSync(path.join(modules, ".bin", program), flags, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ended with ${status}:\n${stdout}\n${stderr}`);
  console.log(`${[program, ...flags].join(" ")}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
  return { folder: path.join(folder, output), modules };
}
