"use strict";

/**
 * Logs in at a tap, with the `auth` of the app: the tap is the user's will, so no modal asks once more. With `type="phone"`
 * it asks for the phone number, and only once a session and a good session key are there, so that no `wx.login` comes
 * between the tap and the decryption.
 */
Component({
  options: { addGlobalClass: true },

  externalClasses: ["auth-class", "auth-hover-class"],

  properties: {
    type: { type: String, value: "login" },
    disabled: { type: Boolean, value: false },
    /** The number is verified by SMS now, for a higher price */
    realtime: { type: Boolean, value: false },
    /** The tap also agrees to the privacy guide, of which the page shows a line */
    privacy: { type: Boolean, value: false },
    /** WeChat's own sheet where the quota of phone numbers is used up */
    quotaToast: { type: Boolean, value: true },
  },

  data: { busy: false, ready: false, openType: "" },

  observers: {
    "ready, realtime, privacy"(ready, realtime, privacy) {
      const phone = ready && (realtime ? "getRealtimePhoneNumber" : "getPhoneNumber");
      // Older base libraries do not know the type, and nothing has to be agreed to.
      const agree = privacy && wx.getPrivacySetting && "agreePrivacyAuthorization";
      this.setData({ openType: [phone, agree].filter(Boolean).join("|") });
    },
  },

  lifetimes: {
    attached() {
      this.prepare();
    },
  },

  pageLifetimes: {
    // The first comes with `attached`.
    show() {
      if (this.isHidden) this.prepare();
      this.isHidden = false;
    },

    hide() {
      this.isHidden = true;
    },
  },

  methods: {
    /** Where an independent sub-package is opened first, there is no app yet but a default one, which it gave its own `auth`. */
    auth() {
      const { auth } = getApp({ allowDefault: true });
      if (!auth) throw new Error("auth-button needs App({ auth })");
      return auth;
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
      const auth = this.auth();
      return this.run("login", () => (auth.loggedIn ? auth.ensure() : auth.login())).then(() => this.prepare());
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
