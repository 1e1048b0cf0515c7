// As much of WeChat as a built mini program needs to run: its modules, its app, one page at a time, and the words on it.

import { readFileSync } from "node:fs";
import path from "node:path";
import { compileFunction } from "node:vm";

// What Node.js has and WeChat has not.
const LACKING = ["process", "window", "document", "navigator", "location", "fetch", "setImmediate", "MessageChannel", "performance", "URL"];

const DEVICE = { platform: "ios", system: "iOS 18.0", SDKVersion: "3.8.0", version: "8.0.60", language: "zh_CN", pixelRatio: 2 };
const WINDOW = { windowWidth: 375, windowHeight: 667, statusBarHeight: 20, safeArea: {}, screenHeight: 667 };

/** What frameworks ask the platform when they start. */
function furnish(wx) {
  const info = () => ({ ...DEVICE, ...WINDOW });
  const nothing = () => {};
  const quiet = ["onError", "offError", "onUnhandledRejection", "onPageNotFound", "onThemeChange", "onAppShow", "onAppHide", "onMemoryWarning"];
  for (const name of quiet) wx[name] = nothing;
  for (const name of ["getSystemInfoSync", "getDeviceInfo", "getWindowInfo", "getAppBaseInfo", "getSystemSetting"]) wx[name] = info;
  wx.showToast = ({ title, success = nothing }) => (wx.calls.push({ name: "showToast", title }), success());
  return Object.assign(wx, { canIUse: () => true, nextTick: (run) => setTimeout(run), getEnterOptionsSync: wx.getLaunchOptionsSync });
}

/** A page of `Page`, or of `Component` as uni-app makes one, from its opening to its end. */
function createPage(given, route) {
  const { lifetimes = {}, methods = {}, ...rest } = given;
  const page = { ...rest, ...methods, data: { ...given.data }, properties: {}, is: route, route };
  page.setData = (change, done) => {
    for (const [where, value] of Object.entries(change)) {
      const steps = where.match(/[^.[\]]+/g);
      const last = steps.pop();
      steps.reduce((at, step) => (at[step] = at[step] || {}), page.data)[last] = value;
    }
    if (done) setTimeout(done);
  };
  Object.assign(page, { selectComponent: () => null, selectAllComponents: () => [], triggerEvent() {}, getPageId: () => route });
  const live = (name) => (lifetimes[name] || given[name] || (() => {})).call(page);
  const hook = (name, argument) => page[name] && page[name](argument);
  const open = () => {
    ["created", "attached"].forEach(live);
    hook("onLoad", {});
    hook("onShow");
    live("ready");
    hook("onReady");
  };
  return { page, hook, open };
}

/** The mini program in this folder on that `wx`: `open(route)` gives a page. */
export function start(folder, wx) {
  const modules = new Map();
  const opened = [];
  let app = {};
  let made;
  const take = (given) => (made = given);
  const globals = {
    wx: furnish(wx),
    App: (given) => void (app = given),
    getApp: () => app,
    Page: take,
    Component: take,
    Behavior: (given) => given,
    getCurrentPages: () => opened,
  };
  const names = ["require", "module", "exports", ...Object.keys(globals), ...LACKING];
  function load(file) {
    if (modules.has(file)) return modules.get(file).exports;
    const module = { exports: {} };
    modules.set(file, module);
    const near = (name) => load(path.join(path.dirname(file), name.replace(/(\.js)?$/, ".js")));
    compileFunction(readFileSync(file, "utf8"), names, { filename: file })(near, module, module.exports, ...Object.values(globals));
    return module.exports;
  }
  load(path.join(folder, "app.js"));
  if (app.onLaunch) app.onLaunch(wx.getLaunchOptionsSync());
  if (app.onShow) app.onShow(wx.getLaunchOptionsSync());
  return {
    load: (name) => load(path.join(folder, name)),
    open(route) {
      load(path.join(folder, `${route}.js`));
      const host = createPage(made, route);
      opened.push(host.page);
      host.open();
      return host;
    },
  };
}
