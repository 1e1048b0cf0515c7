// The five stories: what ours and the tutorials' client do in the same trouble. Every request is a real one, of both
// clients, to the laptop and its WeChat; every number is counted from them.

import { recordNote, recordOutcome, recordRequest } from "./journal.js";
import { span } from "./dom.js";
import { advance, control, script } from "./laptop.js";
import { createNetwork } from "./network.js";
import { runPage } from "./runtime.js";
import { createTutorialClient } from "./tutorial.js";
import { createWx, heldTokens, loginElsewhere, wipe } from "./wx.js";

const { createAuth } = requireFile("index.js");

export const LANES = ["ours", "tutorial"];

/** Past the life of an access token. */
const ACCESS_OVER = 16 * 60;
/** Past the grace in which a replaced refresh token still gets its successor. */
const GRACE_OVER = 2 * 60;

/** WeChat's servers say that they are busy. */
const BUSY = { kind: "errcode", errcode: -1 };

const RENEWALS = ["/v1/login", "/v1/refresh"];

/** Nobody looks at these phones: what they would ask is answered with yes. */
const SCREEN = { modal: async () => ({ confirm: true, cancel: false }), toast() {}, goTo() {} };

/** The clients under the same names, as their documents have them. */
const CLIENTS = {
  ours(options) {
    const auth = createAuth({ ...options, modal: false });
    const request = async (url) => {
      const { statusCode, data } = await auth.request({ url });
      if (statusCode !== 200) throw new Error(`HTTP ${statusCode}`);
      return data;
    };
    return { auth, login: () => auth.login(), request, show: () => auth.preparePhone(), phone: (event) => auth.phone(event) };
  },
  tutorial: (options) => ({ ...createTutorialClient(options), show: async () => {} }),
};

/** Two sides, each with a user, a phone, a network and a client of its own. */
class Cast {
  constructor(id) {
    this.id = id;
    this.step = "";
    this.sides = LANES.map((lane) => this.enter(lane, lane));
  }

  /** Somebody with a phone and the client of this lane. */
  enter(lane, phone) {
    wipe(phone);
    const user = `${phone}-${crypto.randomUUID().slice(0, 8)}`;
    const network = createNetwork();
    const sent = [];
    const record = (request) => {
      sent.push({ step: this.step, path: request.url.replace(location.origin, "") });
      return recordRequest(lane, request, this.mark(lane));
    };
    const { wx, kill } = createWx({ phone, user, screen: SCREEN, record, network });
    const client = CLIENTS[lane]({ baseUrl: location.origin, wx });
    return { lane, phone, user, network, sent, client, kill, count: 0 };
  }

  mark(lane) {
    return { lane, run: this.id, step: this.step };
  }

  both(act) {
    return Promise.all(this.sides.map(act));
  }

  /** Something that the user does, and what they see of it. Says whether it went well. */
  async tries({ lane }, key, act) {
    const step = this.step;
    const isGood = await act().then(
      () => true,
      () => false,
    );
    const mark = { ...this.mark(lane), step };
    recordOutcome(`seen.${key}.${isGood ? "yes" : "no"}`, isGood ? "good" : "failed", {}, mark);
    return isGood;
  }

  login() {
    return this.both((side) => this.tries(side, "login", side.client.login));
  }

  /** A page that sends so many requests at once. Gives how many failed. */
  async page({ lane, client }, count) {
    const { step } = this;
    const calls = Array.from({ length: count }, () => client.request("/v1/session"));
    const failed = (await Promise.allSettled(calls)).filter(({ status }) => status === "rejected").length;
    const [key, tone] = failed ? ["seen.page.no", "failed"] : ["seen.page.yes", "good"];
    recordOutcome(key, tone, { count, failed }, { ...this.mark(lane), step });
    return failed;
  }

  /** Whoever has copied the token needs no client: one request. Says whether it was let in. */
  async steal(side) {
    const body = JSON.stringify({ refresh_token: side.stolen });
    const headers = { "content-type": "application/json" };
    const request = { method: "POST", url: "/v1/refresh", headers, body };
    const entry = recordRequest("thief", request, this.mark(side.lane));
    const answer = await fetch("/v1/refresh", { method: "POST", headers, body });
    const told = await answer.json();
    entry.answered({ status: answer.status, headers: Object.fromEntries(answer.headers), body: told });
    side.stolen = told.refresh_token ?? side.stolen;
    return answer.ok;
  }

  async close() {
    for (const { kill, phone } of [...this.sides, ...(this.guests ?? [])]) {
      kill();
      wipe(phone);
    }
    if (this.isDown) await this.setDown(false);
  }

  async setDown(isDown) {
    this.isDown = isDown;
    await script(isDown ? BUSY : null);
    recordNote("note.wechat", { fault: `wechat.answers.${isDown ? "-1" : "works"}` });
  }
}

async function forward(seconds) {
  recordNote("note.advanced", { span: span(seconds) });
  await advance(seconds);
}

/** By name, each with its steps: a name, whose text is `story.<story>.<step>`, and what happens. `count` is each side's number. */
export const STORIES = {
  fifty: {
    login: (cast) => cast.login(),
    over: () => forward(ACCESS_OVER),
    page: async (cast) => {
      // One after the other: fifty logins at once would keep the other side waiting, too.
      for (const side of cast.sides) {
        await cast.page(side, 50);
        side.count = side.sent.filter(({ step, path }) => step === "page" && RENEWALS.includes(path)).length;
      }
    },
  },

  lost: {
    login: (cast) =>
      cast.both(async (side) => {
        side.network.set({ loss: { what: "answer", of: "/v1/login" } });
        side.isIn = await cast.tries(side, "login", side.client.login);
      }),
    again: (cast) => cast.both((side) => side.isIn || cast.tries(side, "login", side.client.login)),
    devices: (cast) =>
      cast.both(async (side) => {
        side.count = (await side.client.request("/v1/sessions")).sessions.length;
      }),
  },

  stolen: {
    login: (cast) => cast.login(),
    steal: async (cast) => {
      await forward(ACCESS_OVER);
      await cast.both((side) => {
        side.stolen = heldTokens(side.phone, side.user).refresh;
        return cast.steal(side);
      });
    },
    owner: async (cast) => {
      await forward(GRACE_OVER);
      await cast.both((side) => cast.page(side, 1));
    },
    thief: async (cast) => {
      for (const _ of [1, 2, 3]) {
        await forward(ACCESS_OVER);
        await cast.both(async (side) => {
          side.count += Number(await cast.steal(side));
        });
      }
    },
  },

  down: {
    login: (cast) => cast.login(),
    down: async (cast) => {
      await cast.setDown(true);
      await forward(ACCESS_OVER);
    },
    page: (cast) =>
      cast.both(async (side) => {
        side.count = await cast.page(side, 6);
      }),
    guest: async (cast) => {
      cast.guests = LANES.map((lane) => cast.enter(lane, `${lane}2`));
      for (const guest of cast.guests) guest.page = firstPage(cast, guest);
      await Promise.all(cast.guests.map((guest) => guest.page.open()));
    },
    back: async (cast) => {
      await cast.setDown(false);
      await Promise.all(cast.guests.map((guest) => guest.page.retry()));
    },
  },

  phone: {
    login: (cast) => cast.login(),
    elsewhere: (cast) => cast.both(({ user }) => loginElsewhere(user)),
    show: (cast) => cast.both(({ client }) => client.show()),
    tap: (cast) => cast.both((side) => tapPhone(cast, side)),
    again: (cast) => cast.both((side) => side.hasNumber || tapPhone(cast, side)),
  },
};

async function tapPhone(cast, side) {
  side.count += 1;
  const detail = await control("phone", { user: side.user });
  // The old way, which most apps have: the key decides. By `code` it does not matter.
  const { encryptedData, iv } = detail;
  const act = () => side.client.phone({ detail: { encryptedData, iv } });
  side.hasNumber = await cast.tries(side, "phone", act);
}

/** The first page of an app that must be logged in: ours is guarded, that of the tutorials logs in when it is shown. */
function firstPage(cast, { lane, client }) {
  const tell = (isIn) => {
    const tone = isIn ? "good" : lane === "ours" ? "waiting" : "failed";
    recordOutcome(`seen.first.${lane}.${isIn ? "yes" : "no"}`, tone, {}, cast.mark(lane));
  };
  if (lane === "tutorial") {
    const login = () => client.login().then(() => tell(true), () => tell(false));
    // Nothing waits there: whoever wants in has to open the app again.
    return { open: login, retry: login };
  }
  const page = runPage(client.auth.guardPage({}));
  const done = (run) => async () => {
    await run();
    tell(page.data.authed);
  };
  return { open: done(() => page.enter(() => {})), retry: done(() => page.retryAuth()) };
}

export function begin(id) {
  return new Cast(id);
}
