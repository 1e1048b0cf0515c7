"use strict";

const VISIT = Symbol("visit");

/** Pages for which somebody must be logged in: their own `onLoad` and `onShow` wait for it. */
const createGuard = (auth, call) => (page, { redirect } = {}) => {
  const run = (self, hook, argument) => page[hook] && page[hook].call(self, argument);

  const mark = (self, authed) => self.data.authed === authed || self.setData({ authed });

  // A first page without a redirect has nowhere to go: it stays, with `authed` false.
  const goAway = () =>
    redirect
      ? call("redirectTo", { url: redirect }).catch(() => call("switchTab", { url: redirect }))
      : call("navigateBack");

  function enter(self, visit) {
    mark(self, true);
    if (!visit.loaded) run(self, "onLoad", visit.query);
    visit.loaded = visit.turn = true;
    run(self, "onShow");
  }

  return {
    ...page,
    data: { ...page.data, authed: false },
    onLoad(query) {
      this[VISIT] = { query };
    },
    onShow() {
      const visit = this[VISIT];
      const turn = (visit.turn = {});
      if (auth.loggedIn) return enter(this, visit);
      mark(this, false);
      return auth.ensure({ interactive: true }).then(
        () => visit.turn === turn && enter(this, visit),
        ({ code }) => visit.turn === turn && code === "user_refused" && goAway().catch(() => {}),
      );
    },
    onHide() {
      if (this[VISIT].turn === true) run(this, "onHide");
      this[VISIT].turn = null;
    },
    onUnload() {
      this[VISIT].turn = null;
      if (this[VISIT].loaded) run(this, "onUnload");
    },
  };
};

module.exports = { createGuard };
