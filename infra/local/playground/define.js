// The loader of the client package: `/playground/miniprogram.js` has its CommonJS files as they stand, each in a call
// of `define`, so that the page needs neither a bundler nor `eval`.
"use strict";

const files = new Map();

/** Called by each file of the package: nothing runs until it is required. */
function define(path, body) {
  files.set(path, { body, module: null });
}

/** The exports of a file of the package. A circle of requires sees what is exported so far, as in Node. */
function requireFile(path) {
  const file = files.get(path) ?? files.get(`${path}.js`);
  if (!file) {
    throw new Error(`no file ${path} in the package`);
  }
  if (!file.module) {
    file.module = { exports: {} };
    const folder = path.split("/").slice(0, -1);
    file.body((name) => requireFile(joined(folder, name)), file.module, file.module.exports);
  }
  return file.module.exports;
}

function joined(folder, name) {
  const parts = [...folder];
  for (const part of name.split("/")) {
    if (part === "..") {
      parts.pop();
    } else if (part !== ".") {
      parts.push(part);
    }
  }
  return parts.join("/");
}
