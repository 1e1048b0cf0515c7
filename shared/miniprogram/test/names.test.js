"use strict";

// The package is on no registry yet, so nobody must be told to fetch it there by a name that anybody may take.

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");

const ROOT = path.join(__dirname, "../../..");
const SKIPPED = ["target", ".git", ".local", "node_modules", "package-lock.json"];

/** What people read or copy: documents, pages, scripts, and all that a sample consists of. */
const TEXT = /\.(md|html|js|mjs|cjs|jsx|ts|tsx|vue|json|yml|yaml|sh|rs|toml)$|^[^.]+$/;

function* textsOf(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const name = path.join(folder, entry.name);
    if (SKIPPED.includes(entry.name) || name === __filename) continue;
    if (entry.isDirectory()) yield* textsOf(name);
    else if (TEXT.test(entry.name)) yield [path.relative(ROOT, name), fs.readFileSync(name, "utf8")];
  }
}

const OURS = "wxauth[\\w-]*";
const FETCHES = [
  // `npm install ./wxauth/shared/miniprogram` is a folder; `npm install wxauth-miniprogram` is whatever the registry has.
  new RegExp(`\\b(?:npm|pnpm|yarn|cnpm|tnpm|bun)\\s+(?:i|in|install|add|update|view)\\b[^\\n#|&;\`]*?[\\s"'](?:@[\\w-]+/)?${OURS}(?:@[\\w.^~-]+)?(?=[\\s"'\`]|$)`, "m"),
  new RegExp(`\\b(?:npx|pnpm dlx|yarn dlx|bunx)\\s+(?:-\\S+\\s+)*${OURS}`),
  /https?:\/\/[^\s"]+\/wxauth-miniprogram\b/, // a page or a copy of it on a registry
  new RegExp(`"${OURS}"\\s*:\\s*"(?:npm:)?[\\^~>=<*\\d]`),
  new RegExp(`"${OURS}"\\s*:\\s*"(?:latest|next)"`),
];

const fetched = (text) => FETCHES.flatMap((pattern) => pattern.exec(text) || []);

test("each way to fetch the package by its name is noticed, and a folder is none", () => {
  for (const text of [
    "npm install wxauth-miniprogram",
    "npm i --save wxauth-miniprogram@0.1.0\n",
    "pnpm add vue wxauth",
    "`yarn add wxauth-miniprogram`",
    "npx wxauth",
    "https://cdn.example/npm/wxauth-miniprogram/index.js",
    '{ "dependencies": { "wxauth-miniprogram": "^0.1.0" } }',
    '"wxauth-miniprogram": "latest"',
  ]) {
    assert.equal(fetched(text).length, 1, text);
  }
  for (const text of [
    "npm install --install-links ./wxauth/shared/miniprogram   # a clone of wxauth",
    "npm install ./shared/miniprogram",
    '"wxauth-miniprogram": "file:../.."',
    'require("wxauth-miniprogram")',
  ]) {
    assert.deepEqual(fetched(text), [], text);
  }
});

test("no document and no sample fetches the package by its name", () => {
  const texts = [...textsOf(ROOT)];
  const names = texts.map(([name]) => name);
  for (const name of ["README.md", "README.zh-CN.md", "shared/miniprogram/examples/demo/miniprogram/app.js"]) assert.ok(names.includes(name), name);
  assert.deepEqual(texts.flatMap(([name, text]) => fetched(text).map((found) => `${name}: ${found}`)), []);
});

test("the documents that say how to install it name its folder", () => {
  const installs = [...textsOf(path.join(ROOT, "shared/miniprogram"))].filter(([name]) => name.endsWith(".md"));
  const lines = installs.flatMap(([, text]) => text.match(/^npm install .*wxauth.*$/gm) || []);
  assert.ok(lines.length > 1);
  for (const line of lines) assert.match(line, /^npm install (--install-links )?(\.\/)?(wxauth\/|\.\.\/)*shared\/miniprogram\b/);
});
