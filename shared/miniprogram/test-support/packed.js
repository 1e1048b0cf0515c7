"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

/** Puts what `npm publish` would send where `npm install` would put it, and gives the names of its files. */
function install(modules) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "wxauth-"));
  try {
    const flags = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
    const [{ filename, files }] = JSON.parse(execFileSync("npm", flags, { cwd: path.join(__dirname, ".."), stdio: ["ignore", "pipe", "ignore"] }));
    const place = path.join(modules, "wxauth-miniprogram");
    fs.rmSync(place, { recursive: true, force: true });
    fs.mkdirSync(place, { recursive: true });
    execFileSync("tar", ["-xzf", path.join(folder, filename), "--strip-components=1", "-C", place]);
    return files.map((file) => file.path).sort();
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

module.exports = { install };
