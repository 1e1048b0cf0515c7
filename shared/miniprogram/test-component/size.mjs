// The size that a mini program pays for: the developer tools minify what they upload, file by file.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { need } from "./modules.mjs";

const { minify } = need("terser");
const root = new URL("../", import.meta.url);
const files = ["index.js", ...readdirSync(new URL("lib/", root)).map((name) => `lib/${name}`)];

const minifiedSize = async (name) => Buffer.byteLength((await minify(readFileSync(new URL(name, root), "utf8"), { toplevel: true })).code);

test("minified, an adapter is at most 2 kB beside the core, and both READMEs say how large it is", async () => {
  const uni = (await minifiedSize("uni/adapt.js")) + (await minifiedSize("uni/index.mjs"));
  const taro = await minifiedSize("taro/index.js");
  const [ofUni, ofTaro] = [uni, taro].map((bytes) => bytes.toLocaleString("en"));
  console.log(`adapters: uni-app ${ofUni} bytes minified, Taro ${ofTaro}`);
  assert.ok(uni <= 2048 && taro <= 2048, `${uni} and ${taro} bytes`);
  assert.ok(readFileSync(new URL("README.md", root), "utf8").includes(`${ofUni} and ${ofTaro} bytes minified`));
  assert.ok(readFileSync(new URL("README.zh-CN.md", root), "utf8").includes(`压缩后分别是 ${ofUni} 和 ${ofTaro} 字节`));
});

test("minified, the core is at most 10 kB, and both READMEs say how large it is", async () => {
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
