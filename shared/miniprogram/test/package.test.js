"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");

const ROOT = path.join(__dirname, "..");
const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
const shipped = ["index.js", ...fs.readdirSync(path.join(ROOT, "lib")).map((name) => `lib/${name}`)];
const read = (name) => fs.readFileSync(path.join(ROOT, name), "utf8");

test("the developer tools find the package, and npm ships all of it", () => {
  assert.equal(manifest.miniprogram, ".");
  assert.equal(manifest.dependencies, undefined);
  for (const name of [manifest.main, manifest.types, ...manifest.files]) assert.ok(fs.existsSync(path.join(ROOT, name)), name);
  for (const name of fs.readdirSync(ROOT)) {
    const known = [...manifest.files, "README.md", "package.json", "examples", "test", "test-adapters", "test-component", "test-support"];
    assert.ok(known.includes(name), `${name} is neither shipped nor a test nor the demo`);
  }
});

for (const readme of ["README.md", "README.zh-CN.md"]) {
  test(`${readme} says how long the code is; test-component/size.mjs looks at it minified`, () => {
    const bytes = Buffer.byteLength(shipped.map(read).join("")).toLocaleString("en");
    assert.match(read(readme), new RegExp(`\\b${bytes} `), `${bytes} bytes of source`);
  });
}

test("what the tests install is named without an address, and not shipped", () => {
  for (const folder of ["test-component", "test-adapters/uni", "test-adapters/taro"]) {
    const lock = JSON.parse(read(`${folder}/package-lock.json`));
    assert.deepEqual(lock.packages[""].dependencies, JSON.parse(read(`${folder}/package.json`)).dependencies);
    for (const [name, { resolved }] of Object.entries(lock.packages)) assert.equal(resolved, undefined, name);
  }
  assert.ok(manifest.files.every((name) => !name.startsWith("test")));
});

const MODERN = /\?\.[a-z[(]|\?\?|catch \{|\bprocess\b|\bwindow\b|\bBuffer\b|new URL|#\w+\(/;

test("no syntax is newer than ES2018, and nothing is required from outside", () => {
  for (const name of shipped) {
    const code = read(name);
    assert.doesNotMatch(code, MODERN, name);
    assert.doesNotMatch(code, /\bimport\b/, name);
    for (const [, wanted] of code.matchAll(/require\("([^"]+)"\)/g)) assert.match(wanted, /^\.\.?\//);
  }
});

for (const [name, wanted] of Object.entries({
  "uni/adapt.js": [],
  "uni/index.js": ["./adapt", "@dcloudio/uni-app", "vue"],
  "uni/index.mjs": ["./adapt.js", "@dcloudio/uni-app", "vue"],
  "taro/index.js": ["@tarojs/taro", "react"],
})) {
  test(`${name} has no newer syntax either, and wants its framework alone, which is an optional peer`, () => {
    const code = read(name);
    assert.doesNotMatch(code, MODERN);
    const found = [...code.matchAll(/(?:require\(|from )"([^"]+)"/g)].map(([, from]) => from).sort();
    assert.deepEqual(found, wanted);
    for (const peer of wanted.filter((from) => !from.startsWith("."))) {
      assert.ok(manifest.peerDependencies[peer] && manifest.peerDependenciesMeta[peer].optional, peer);
    }
  });
}

test("what the types declare is there, and nothing else", () => {
  const { createAuth } = require("..");
  const wx = { getStorageSync: () => "", setStorageSync() {}, removeStorageSync() {} };
  const [, declared] = /export interface Auth \{([\s\S]*?)\n\}/.exec(read("index.d.ts"));
  const names = [...declared.matchAll(/^ {2}(?:readonly )?(\w+)[<(?:]/gm)].map(([, name]) => name);
  assert.deepEqual(Object.keys(createAuth({ baseUrl: "https://a.example", wx })).sort(), [...new Set(names)].sort());
});

for (const language of ["README.md", "README.zh-CN.md"]) {
  test(`every method, event, option, property and code is in ${language}`, () => {
    const readme = read(language);
    const declared = read("index.d.ts");
    for (const name of ["Auth", "AuthOptions", "Events", "AuthData", "AuthHooks", "AuthMethods"]) {
      const [, body] = new RegExp(`export interface ${name} \\{([\\s\\S]*?)\\n\\}`).exec(declared);
      for (const [, member] of body.matchAll(/^ {2}(?:readonly )?(\w+)\??[<(:?]/gm)) {
        assert.match(readme, new RegExp(`\\b${member}\\b`), `${name}.${member}`);
      }
    }
    for (const code of codesOf("ClientCode")) assert.ok(readme.includes(`\`${code}\``), code);
    const [, properties] = /properties: \{([\s\S]*?)\n {2}\}/.exec(read("components/auth-button/index.js"));
    for (const [, property] of properties.matchAll(/^ {4}(\w+): \{/gm)) {
      assert.ok(readme.includes(`\`${property.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}\``), property);
    }
  });
}

/** The members of a union of texts in the types. */
function codesOf(name) {
  const [, body] = new RegExp(`export type ${name} =([\\s\\S]*?);`).exec(read("index.d.ts"));
  return [...body.matchAll(/^ {2}\| "(\w+)"/gm)].map(([, code]) => code).sort();
}

test("the types know the codes of the contract, and those that this package gives, and no others", () => {
  const contract = fs.readFileSync(path.join(ROOT, "../contract/README.md"), "utf8");
  assert.deepEqual(codesOf("ServerCode"), contract.match(/^## [a-z_]+$/gm).map((line) => line.slice(3)).sort());
  const lines = shipped.flatMap((name) => read(name).match(/^.*\bfailure\(.*$/gm) || []);
  const words = lines.flatMap((line) => [...line.matchAll(/"(\w+)"/g)].map(([, word]) => word));
  const own = words.filter((word) => !/^(fix|refresh|relogin|retry|stop)$/.test(word) && !codesOf("ServerCode").includes(word));
  assert.deepEqual([...new Set(own)].sort(), codesOf("ClientCode"));
});

test("the global wx is used where no other platform is given", () => {
  const { createAuth } = require("..");
  assert.throws(() => createAuth({ baseUrl: "https://a.example" }), /wx is not defined/);
  globalThis.wx = { getStorageSync: () => '{"openid":"o"}', setStorageSync() {}, removeStorageSync() {} };
  try {
    assert.equal(createAuth({ baseUrl: "https://a.example" }).openid, "o");
  } finally {
    delete globalThis.wx;
  }
});
