// A mini program project as WeChat runs it: its app, its tabs and pages with their hooks, and what is required from
// `miniprogram_npm`. One at a time, because `wx`, `getApp` and `getCurrentPages` are global.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import vm from "node:vm";
import { simulate } from "./simulate.mjs";

const require = createRequire(import.meta.url);
const { settle } = require("./fake");

const done = (options = {}, outcome = {}) => {
  for (const tell of [options.success, options.complete]) if (tell) Promise.resolve(outcome).then(tell);
};

/** Loads the files of a project, each once; those of `instead` are given by name. */
function loader(root, instead) {
  const loaded = new Map();
  const resolve = (from, name) => {
    const file = name.startsWith(".") ? path.join(path.dirname(from), name) : path.join(root, "miniprogram_npm", name);
    return [file, `${file}.js`, path.join(file, "index.js")].find((found) => found.endsWith(".js") && existsSync(found));
  };
  return function load(file) {
    if (!loaded.has(file)) {
      const module = { exports: {} };
      loaded.set(file, module);
      const given = instead[path.relative(root, file)];
      const need = (name) => {
        const found = resolve(file, name);
        if (!found) throw new Error(`${path.relative(root, file)}: module '${name}' is not defined`);
        return load(found);
      };
      const run = vm.runInThisContext(`(function (module, exports, require) {${readFileSync(file, "utf8")}\n})`, { filename: file });
      if (given) module.exports = given;
      else run(module, module.exports, need);
    }
    return loaded.get(file).exports;
  };
}

/** Starts the app of `root` on this `wx`, and shows its first page. */
export async function stage(root, wx, instead = {}) {
  const json = (name) => JSON.parse(readFileSync(path.join(root, name), "utf8"));
  const app = json("app.json");
  const tabs = (app.tabBar ? app.tabBar.list : []).map(({ pagePath }) => pagePath);
  const load = loader(root, instead);
  const made = new Map();
  const open = new Map();
  let stack = [];

  const componentsOf = (own = {}) =>
    Object.fromEntries(
      Object.entries({ ...app.usingComponents, ...own }).map(([name, where]) => [name, simulate.load(path.join(root, "miniprogram_npm", where), name)]),
    );

  function openPage(route, query = {}) {
    if (!app.pages.includes(route)) throw new Error(`${route} is not in app.json`);
    globalThis.Page = (options) => made.set(route, options);
    load(path.join(root, `${route}.js`));
    const { data = {}, ...methods } = made.get(route);
    const template = readFileSync(path.join(root, `${route}.wxml`), "utf8");
    const view = simulate.render(simulate.load({ usingComponents: componentsOf(json(`${route}.json`).usingComponents), template, data, methods }));
    view.attach(document.body);
    const page = { route, view, instance: view.instance, call: (hook, argument) => view.instance[hook] && view.instance[hook](argument) };
    page.call("onLoad", query);
    return page;
  }

  const top = () => stack[stack.length - 1];
  const show = (page, isNew) => {
    stack.push(page);
    page.call("onShow");
    if (isNew) page.call("onReady");
    else page.view.triggerPageLifeTime("show");
  };
  const hide = () => {
    if (!top()) return;
    top().call("onHide");
    top().view.triggerPageLifeTime("hide");
  };
  const close = (page) => {
    page.call("onUnload");
    page.view.detach();
  };

  function toTab(route) {
    if (!tabs.includes(route)) return false;
    hide();
    for (const page of stack) if (!tabs.includes(page.route)) close(page);
    stack = [];
    const kept = open.get(route);
    if (!kept) open.set(route, openPage(route));
    show(open.get(route), !kept);
    return true;
  }

  const going = (act) => (options = {}) => {
    const [route, query = ""] = (options.url || "").replace(/^\//, "").split("?");
    const went = act(route, Object.fromEntries(new URLSearchParams(query)), options);
    if (went) done(options, { errMsg: "ok" });
    else if (options.fail) Promise.resolve({ errMsg: "fail" }).then(options.fail);
  };
  Object.assign(wx, {
    switchTab: going(toTab),
    navigateTo: going((route, query) => {
      if (tabs.includes(route)) return false;
      hide();
      show(openPage(route, query), true);
      return true;
    }),
    redirectTo: going(() => false),
    navigateBack: going(() => {
      if (stack.length < 2) return false;
      close(stack.pop());
      show(stack.pop(), false);
      return true;
    }),
  });
  Object.assign(globalThis, { wx, App: (given) => (globalThis.getApp = () => given), getCurrentPages: () => stack });
  load(path.join(root, "app.js"));
  if (!toTab(app.pages[0])) show(openPage(app.pages[0]), true);

  /** The page that is seen, when `seen` finds what it looks for there. */
  async function until(seen, what = seen) {
    for (let look = 0; look < 400; look += 1) {
      await settle();
      const found = await seen(top());
      if (found) return found;
      await simulate.sleep(25);
    }
    throw new Error(`not within ten seconds: ${what}\n${top().route}\n${top().view.dom.innerHTML}`);
  }

  const find = (selector, page = top()) => page.view.querySelector(selector);
  return {
    app,
    top,
    until,
    find,
    all: (selector) => top().view.querySelectorAll(selector),
    text: () => top().view.dom.textContent.replace(/\s+/g, " ").trim(),
    goTo: (route) => toTab(route),
    /** An event of the platform at what the selector finds; within a component, by a second selector. */
    async act(selector, type = "tap", detail, within) {
      const outer = await until((page) => find(selector, page), selector);
      const at = within ? outer.querySelector(within) : outer;
      at.dispatchEvent(type, { detail, bubbles: true });
      await settle();
    },
    shows: (text) => until((page) => page.view.dom.textContent.includes(text), text),
    close: () => new Set([...stack, ...open.values()]).forEach(close),
  };
}
