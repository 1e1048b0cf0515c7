"use strict";

const VISIT = Symbol();
const HOOKS = ["onLoad", "onShow", "onReady", "onPullDownRefresh", "onTabItemTap", "onHide", "onUnload", "retryAuth"];

/** Pages for which somebody must be logged in: their hooks wait for it, in the order in which they came. */
function createGuard(auth, call, on) {
  /** A page from its first hook to its last. */
  function createVisit(page, own, redirect) {
    const waiting = new Map();
    let isOpen;
    let turn = 0;
    let awake = () => {};

    const run = (hook, argument) => own[hook] && own[hook].call(page, argument);

    const show = (authed, authError = null) => (authed && page.data.authed) || page.setData({ authed, authError });

    function flush() {
      for (const [hook, argument] of waiting) {
        waiting.delete(hook);
        try {
          run(hook, argument);
        } finally {
          flush(); // as the platform goes on after a hook that throws
        }
      }
    }

    function open() {
      isOpen = true;
      show(auth.loggedIn);
      flush();
    }

    function tell(error) {
      const { code, action, title } = error;
      if (action === "retry") awake = on("online", () => enter());
      call("stopPullDownRefresh").catch(() => {}); // if it was a pull that tried
      show(false, { code, action, title });
      run("onAuthError", error);
    }

    // A first page without a redirect has nowhere to go.
    const goAway = () =>
      redirect
        ? call("redirectTo", { url: redirect }).catch(() => call("switchTab", { url: redirect }))
        : call("navigateBack");

    function leave() {
      isOpen = false;
      turn += 1;
      awake();
    }

    function enter(login = () => auth.ensure({ interactive: true })) {
      leave();
      if (auth.loggedIn) return open();
      const now = turn;
      show(false);
      return login().then(
        () => turn === now && open(),
        (error) => {
          if (turn !== now) return;
          // Opened from Moments: nobody can log in, and the page is shown all the same.
          if (error.code === "single_page") open();
          else if (error.code === "user_refused") goAway().catch(() => tell(error));
          else tell(error);
        },
      );
    }

    return (hook, argument) => {
      if (hook === "retryAuth") return enter(auth.login);
      const arrival = { onHide: "onShow", onUnload: "onLoad" }[hook];
      if (arrival) {
        leave();
        return waiting.has(arrival) || run(hook);
      }
      waiting.set(hook, argument);
      if (hook === "onShow" || (hook !== "onReady" && page.data.authError)) return enter();
      return isOpen && flush();
    };
  }

  /** In a page that `Component` makes, the hooks are methods. */
  return (page, { redirect } = {}) => {
    const own = page.methods || page;
    const hooks = { ...own };
    HOOKS.forEach((hook) => {
      hooks[hook] = function (argument) {
        this[VISIT] = this[VISIT] || createVisit(this, own, redirect);
        return this[VISIT](hook, argument);
      };
    });
    return Object.assign(page.methods ? { ...page, methods: hooks } : hooks, { data: { ...page.data, authed: false, authError: null } });
  };
}

module.exports = createGuard;
