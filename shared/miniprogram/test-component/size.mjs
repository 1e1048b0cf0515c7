// The size that a mini program pays for: the developer tools minify what they upload, file by file.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { need } from "./modules.mjs";

const { minify } = need("terser");
const root = new URL("../", import.meta.url);
const files = ["index.js", ...readdirSync(new URL("lib/", root)).map((name) => `lib/${name}`)];
test("minified, the package is at most 10 kB, and both READMEs say how large it is", async () => {
  const sources = files.map((name) => readFileSync(new URL(name, root)));
  const minified = [];
  for (const source of sources) minified.push(Buffer.from((await minify(source.toString(), { toplevel: true })).code));
  const [whole, small] = [Buffer.concat(sources), Buffer.concat(minified)];
  const [source, code] = [whole, small].map(({ length }) => length.toLocaleString("en"));
  const compressed = (gzipSync(small, { level: 9 }).length / 1000).toFixed(1);
  const figures = {
    "README.md": `${source} bytes of source, ${code} minified, ${compressed} kB gzipped`,
    "README.zh-CN.md": `源码 ${source} 字节，压缩后 ${code} 字节，gzip 之后 ${compressed} kB`,
  };
  console.log(figures["README.md"]);

  assert.ok(small.length <= 10240, `${code} bytes`);
  for (const [readme, said] of Object.entries(figures)) {
    assert.ok(readFileSync(new URL(readme, root), "utf8").includes(said), said);
  }
});
