// The pictures in the READMEs are there, for light and dark, and small.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { root } from "./start.mjs";

const LARGEST = 600 * 1024;

test("both READMEs show the playground and a story, light and dark, in their language", () => {
  for (const [readme, language] of [["README.md", "en"], ["README.zh-CN.md", "zh"]]) {
    const text = readFileSync(`${root}${readme}`, "utf8");
    const shown = [...text.matchAll(/(?:src|srcset)="([^"]+\.webp)"/g)].map(([, path]) => path);
    const wanted = ["story", "playground"].flatMap((name) =>
      ["dark", "light"].map((theme) => `infra/local/playground/pictures/${name}.${language}.${theme}.webp`),
    );

    assert.deepEqual(shown, wanted, readme);
    for (const path of shown) assert.ok(statSync(`${root}${path}`).size <= LARGEST, path);
  }
});
