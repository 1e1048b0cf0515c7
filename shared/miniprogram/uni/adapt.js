"use strict";

const OWN = Symbol();
const TASK = ["abort", "onHeadersReceived", "offHeadersReceived", "onProgressUpdate", "offProgressUpdate", "onChunkReceived", "offChunkReceived"];

/** The task of a request of which each attempt has its own, the first of them not yet: what is said to it is said to each. */
function createTask() {
  const said = [];
  let current;
  const tell = ([name, listener]) => current[name] && current[name](listener);
  const handle = {};
  TASK.forEach((name) => {
    handle[name] = (listener) => {
      said.push([name, listener]);
      if (current) tell([name, listener]);
    };
  });
  const begin = (task) => {
    current = task;
    said.forEach(tell);
  };
  return { begin, handle };
}

/** Over Vue and uni-app as the module system of whoever loads it has found them; `uni` is asked for when it is needed. */
module.exports = (vue, hooks, findUni) => {
  function useAuth(auth) {
    const read = () => ({ loggedIn: auth.loggedIn, openid: auth.openid });
    const state = vue.reactive(read());
    const stops = ["login", "logout", "kicked"].map((event) => auth.on(event, () => Object.assign(state, read())));
    if (vue.getCurrentScope()) vue.onScopeDispose(() => stops.forEach((stop) => stop()));
    return vue.toRefs(vue.readonly(state));
  }

  /** `guardPage` of the core, over the hooks of uni-app. */
  function useGuard(auth, own = {}, guard) {
    const page = auth.guardPage(own, guard);
    page.data = vue.reactive({ authed: false, authError: null });
    page.setData = (change) => Object.assign(page.data, change);
    Object.keys(hooks).forEach((hook) => hooks[hook]((argument) => void page[hook](argument)));
    return { ...vue.toRefs(vue.readonly(page.data)), retryAuth: async () => page.retryAuth() };
  }

  function interceptRequests(auth, origins) {
    const uni = findUni();
    const prefixes = origins.map((origin) => origin.replace(/\/+$/, ""));
    const isOurs = (url) => prefixes.some((prefix) => url.startsWith(prefix) && /^([/?#]|$)/.test(url.slice(prefix.length)));
    const stops = ["request", "uploadFile", "downloadFile"].map((name) => {
      let made;
      const interceptor = {
        invoke(options) {
          const url = `${options.url}`;
          // With `wx: uni` the core's calls come by here, too: these two would wait for themselves.
          if (options[OWN] || !isOurs(url) || /\/v1\/(login|refresh)$/.test(url)) return undefined;
          const { begin, handle } = createTask();
          made = handle;
          auth[name]({ task: begin, ...options, [OWN]: true }); // its callbacks are among the options
          return false; // which uni-app takes for the end of it: without a call of its own, and without a task
        },
        returnValue(value) {
          const task = made;
          made = undefined;
          return value || task;
        },
      };
      uni.addInterceptor(name, interceptor);
      return () => uni.removeInterceptor(name, interceptor);
    });
    return () => stops.forEach((stop) => stop());
  }

  return { interceptRequests, useAuth, useGuard };
};
