"use strict";

/**
 * Logs in at a tap, with the `auth` of the app. With `type="phone"` it asks for the phone number, and only once a session
 * and a good session key are there, so that no `wx.login` comes between the tap and the decryption.
 */
Component({
  options: { addGlobalClass: true },

  properties: {
    type: { type: String, value: "login" },
    disabled: { type: Boolean, value: false },
  },

  data: { busy: false, ready: false },

  lifetimes: {
    attached() {
      this.prepare();
    },
  },

  pageLifetimes: {
    show() {
      this.prepare();
    },
  },

  methods: {
    auth() {
      return getApp().auth;
    },

    /** Silently; a tap does it with the user where this fails. */
    prepare() {
      if (this.data.type !== "phone") return Promise.resolve();
      return this.auth().preparePhone().then(
        () => this.setData({ ready: true }),
        () => this.setData({ ready: false }),
      );
    },

    onTap() {
      if (this.data.ready) return undefined;
      return this.run("login", () => this.auth().ensure({ interactive: true })).then(() => this.prepare());
    },

    onPhone(event) {
      return this.run("phone", () => this.auth().phone(event));
    },

    run(event, act) {
      if (this.data.busy) return Promise.resolve();
      this.setData({ busy: true });
      return act()
        .then(
          (detail) => this.triggerEvent(event, detail),
          (error) => this.triggerEvent("error", error),
        )
        .then(() => this.setData({ busy: false }));
    },
  },
});
