// miniprogram-simulate, and a document for it.

import { need } from "../test-component/modules.mjs";

const { JSDOM } = need("jsdom");
const { window } = new JSDOM("<!doctype html><body></body>", { url: "http://localhost/" });
globalThis.window = window;
// Node has classes of these names too, and jsdom takes only its own.
for (const name of Object.getOwnPropertyNames(window)) {
  if (/(Event|EventTarget|Element|Node|Observer)$|^(document|navigator|Document|Text|Comment|getComputedStyle)$/.test(name)) {
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
  }
}
window.requestAnimationFrame = globalThis.requestAnimationFrame = (run) => setTimeout(run, 0);
window.cancelAnimationFrame = globalThis.cancelAnimationFrame = clearTimeout;

export const simulate = need("miniprogram-simulate");
