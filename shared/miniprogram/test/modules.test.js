"use strict";

// The package as npm hands it out: what is in it, and that each module system finds its parts.

const { after, before, test } = require("node:test");
const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { install } = require("../test-support/packed");

const PARTS = {
  "wxauth-miniprogram": ["createAuth"],
  "wxauth-miniprogram/uni": ["interceptRequests", "useAuth", "useGuard"],
  "wxauth-miniprogram/taro": ["useAuth", "useGuard"],
};

/** The frameworks, as far as the adapters ask for something when they are loaded. */
const FRAMEWORKS = {
  "@dcloudio/uni-app": ["onHide", "onLoad", "onPullDownRefresh", "onReady", "onShow", "onTabItemTap", "onUnload"],
  "@tarojs/taro": [],
  react: [],
  vue: ["getCurrentScope", "onScopeDispose", "reactive", "readonly", "toRefs"],
};

let project;
let files;
before(() => {
  project = fs.mkdtempSync(path.join(os.tmpdir(), "wxauth-project-"));
  const modules = path.join(project, "node_modules");
  files = install(modules);
  for (const [name, exported] of Object.entries(FRAMEWORKS)) {
    fs.mkdirSync(path.join(modules, name), { recursive: true });
    fs.writeFileSync(path.join(modules, name, "index.js"), exported.map((one) => `exports.${one} = () => {};\n`).join(""));
  }
});
after(() => fs.rmSync(project, { recursive: true }));

test("npm ships these files and no others, but for documents", () => {
  assert.deepEqual(files.filter((name) => !/\.md$/.test(name)), [
    "components/auth-button/index.js",
    "components/auth-button/index.json",
    "components/auth-button/index.wxml",
    "components/auth-button/index.wxss",
    "index.d.ts",
    "index.js",
    "lib/guard.js",
    "lib/session.js",
    "lib/wire.js",
    "package.json",
    "pages/auth/index.js",
    "pages/auth/index.json",
    "pages/auth/index.wxml",
    "pages/auth/index.wxss",
    "taro/index.d.ts",
    "taro/index.js",
    "uni/adapt.js",
    "uni/index.d.ts",
    "uni/index.js",
    "uni/index.mjs",
  ]);
  for (const name of ["README.md", "README.zh-CN.md"]) assert.ok(files.includes(name), name);
  for (const name of files) assert.doesNotMatch(name, /node_modules|\.env/);
});

/** What a module of the project says, which is JSON. */
function run(name, code) {
  const file = path.join(project, name);
  fs.writeFileSync(file, code);
  return JSON.parse(execFileSync(process.execPath, [file], { encoding: "utf8" }));
}

const parts = Object.entries(PARTS);
const FUNCTIONS = parts.map(([, names]) => names.map(() => "function"));

test("each part is imported by the names of what it has", () => {
  const imports = parts.map(([part, names], at) => `import { ${names.map((name) => `${name} as ${name}${at}`)} } from "${part}";`);
  const kinds = parts.map(([, names], at) => `[${names.map((name) => `typeof ${name}${at}`)}]`);
  assert.deepEqual(run("a.mjs", `${imports.join("\n")}\nconsole.log(JSON.stringify([${kinds}]));`), FUNCTIONS);
});

test("each part is required, by its name and as a file where nobody reads exports, and has nothing else", () => {
  const shown = (from) => `[${parts.map(([part]) => `Object.entries(require("${from}${part}")).sort().map(([name, value]) => [name, typeof value])`)}]`;
  const expected = parts.map(([, names]) => names.map((name) => [name, "function"]));
  const [byName, byFile] = run("a.cjs", `console.log(JSON.stringify([${shown("")}, ${shown("./node_modules/")}]));`);
  assert.deepEqual([byName, byFile], [expected, expected]);
  for (const [part] of parts) assert.ok(fs.existsSync(path.join(project, "node_modules", part, "index.d.ts")), part);
});

test("component and pages are found with exports as without", () => {
  const names = ["components/auth-button/index", "components/auth-button/index.json", "pages/auth/index.wxml", "package.json"];
  const places = ["wxauth-miniprogram", "./node_modules/wxauth-miniprogram"];
  const [found, files] = run("b.cjs", `console.log(JSON.stringify([${places.map((place) => `[${names.map((name) => `require.resolve("${place}/${name}")`)}]`)}]));`);
  assert.deepEqual(found, files);
});

test("it goes to npm with provenance, with a published release alone, and only where the owner has allowed it", () => {
  const folder = path.join(__dirname, "../../../.github/workflows");
  const publishing = fs.readdirSync(folder).filter((name) => fs.readFileSync(path.join(folder, name), "utf8").includes("npm publish"));
  assert.deepEqual(publishing, ["release.yml"]);
  const [jobs, npm, ...more] = fs.readFileSync(path.join(folder, "release.yml"), "utf8").split(/^ {2}npm:\n/m);
  assert.deepEqual([more, jobs.includes("npm publish")], [[], false]);
  assert.match(npm, /^ {4}if: github\.event_name == 'release' && vars\.NPM_PUBLISH == 'true'$/m);
  assert.match(npm, /^ {6}id-token: write$/m);
  assert.match(npm, /^ {10}npm publish --provenance --access public$/m);
  assert.match(jobs, /^ {2}release:\n {4}types: \[published\]$/m);
  const { repository } = JSON.parse(fs.readFileSync(path.join(__dirname, "../package.json"), "utf8"));
  assert.equal(repository.directory, "shared/miniprogram");
});
