// The sample project as `taro build` makes it for WeChat.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { build } from "./support/built.mjs";
import { play } from "./support/plays.mjs";
import { ofTaro } from "./support/words.mjs";

const { folder } = build("taro", ["taro", "build", "--type", "weapp"], "dist");

play({ folder, words: ofTaro });

test("a page that names the native component has it beside it", () => {
  const { usingComponents } = JSON.parse(readFileSync(path.join(folder, "pages/home/home.json"), "utf8"));
  for (const kind of ["js", "json", "wxml", "wxss"]) assert.ok(existsSync(path.join(folder, `${usingComponents["auth-button"]}.${kind}`)), kind);
});
