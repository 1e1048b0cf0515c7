"use strict";

// `npm run setup`：把仓库里的 SDK 放进 miniprogram_npm，内容与开发者工具“构建 npm”的结果相同，所以不用再构建。

const fs = require("node:fs");
const path = require("node:path");

const sdk = path.join(__dirname, "../..");
const target = path.join(__dirname, "miniprogram/miniprogram_npm/wxauth-miniprogram");

fs.rmSync(target, { recursive: true, force: true });
for (const name of ["index.js", "lib", "components"]) {
  fs.cpSync(path.join(sdk, name), path.join(target, name), { recursive: true });
}
console.log(`SDK 已就绪：${path.relative(process.cwd(), target)}`);
