"use strict";

const { api, openPrivacy, showFailure, upload } = require("../../utils/api");

const { auth } = getApp();

const day = (seconds) => {
  const date = new Date(seconds * 1000);
  return `${date.getFullYear()}-${`0${date.getMonth() + 1}`.slice(-2)}-${`0${date.getDate()}`.slice(-2)}`;
};

/** 只显示当前登录的设备与其他设备，设备标识本身没有可读的名字。 */
const shown = ({ device, current, created_at, last_seen_at }) => ({
  device,
  current,
  name: current ? "本机" : `其他设备（${device.slice(0, 4)}）`,
  detail: `${day(created_at)} 登录，最近使用 ${day(last_seen_at)}`,
});

/** `problem` 说明为什么没有登录：还不知道（""）、用户退出过（"logged_out"）、暂时登录不了（"failed"）。 */
const nobody = (problem) => ({ authed: false, problem, me: { avatar: "", nickname: "" }, phone: "", devices: [] });
const LOGGED_OUT = nobody("logged_out");

/** 这一页登录与否都能看，所以不用 guardPage。 */
Page({
  data: { ...nobody(""), busy: "" },

  onShow() {
    return this.load();
  },

  /** 能静默登录就静默登录；用户退出过登录时不打扰他，显示登录按钮。断网不等于退出，所以不让他再登录一次。 */
  async load() {
    try {
      await auth.ensure();
    } catch (error) {
      this.setData(error.code === "logged_out" ? LOGGED_OUT : nobody("failed"));
      return;
    }
    this.setData({ authed: true });
    try {
      const [me, { sessions }] = await Promise.all([api("/me"), auth.sessions()]);
      this.setData({ me, devices: sessions.map(shown) });
    } catch (error) {
      showFailure(error);
    }
  },

  onError({ detail }) {
    showFailure(detail);
  },

  onPrivacy: openPrivacy,

  /** 得到的是手机上的临时文件，要上传到自己的服务器才留得住。 */
  onChooseAvatar({ detail: { avatarUrl } }) {
    return this.run("avatar", async () => this.setData({ "me.avatar": (await upload("/me/avatar", avatarUrl)).avatar }));
  },

  onNickname({ detail: { value } }) {
    const nickname = value.nickname.trim();
    if (!nickname) return undefined;
    return this.run("nickname", async () => {
      this.setData({ me: await api("/me", { method: "PUT", data: { nickname } }) });
      wx.showToast({ title: "已保存" });
    });
  },

  /** 只用来显示。服务器要可信的手机号，应当自己拿 code 去换，见 SDK 的 README。 */
  onPhone({ detail: { purePhoneNumber } }) {
    this.setData({ phone: purePhoneNumber.replace(/^(\d{3})\d{4}/, "$1****") });
  },

  onLogout() {
    return this.run("logout", async () => {
      await auth.logout();
      this.setData(LOGGED_OUT);
    });
  },

  onLogoutEverywhere() {
    return this.confirmed("所有设备都要重新登录，确定吗？", "everywhere", async () => {
      const ended = await auth.logout({ everywhere: true });
      this.setData(LOGGED_OUT);
      if (!ended) wx.showToast({ title: "本机已退出，其他设备没有退出，请稍后再试", icon: "none" });
    });
  },

  /** 先删自己服务器上的数据，再删登录服务里的。 */
  onDelete() {
    return this.confirmed("账号和全部数据都会删除，不能恢复。", "delete", async () => {
      await api("/me", { method: "DELETE" });
      await auth.deleteUser();
      this.setData(LOGGED_OUT);
      wx.showToast({ title: "账号已注销" });
    });
  },

  confirmed(content, name, act) {
    return new Promise((done) => {
      wx.showModal({ title: "请确认", content, confirmColor: "#e5484d", success: ({ confirm }) => done(confirm), fail: () => done(false) });
    }).then((confirm) => confirm && this.run(name, act));
  },

  async run(name, act) {
    if (this.data.busy) return;
    this.setData({ busy: name });
    try {
      await act();
    } catch (error) {
      showFailure(error);
    }
    this.setData({ busy: "" });
  },
});
