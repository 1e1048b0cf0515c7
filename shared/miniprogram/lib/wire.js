"use strict";

const ACTION = /^(fix|stop|re(try|fresh|login(_then_retap)?))$/;

const failure = (code, action = "stop", title = code.replace(/_/g, " "), more) =>
  Object.assign(new Error(title), { statusCode: 0, code, action, title, errMsg: `wxauth:fail ${title}` }, more);

/** What is missing or broken is done without. */
function quietly(run) {
  try {
    return run();
  } catch (error) {} // undefined
}

/** The error that an answer is: without an action if it is none, without a `code` if wxauth did not give it. */
function refusal({ statusCode, data }) {
  const body = (typeof data === "string" && quietly(() => JSON.parse(data))) || data;
  if (statusCode < 300) return { data: body };
  const { code, action, title = `HTTP ${statusCode}`, retry_after, request_id } = Object(body);
  const more = { statusCode, retry_after, request_id, data: body };
  if (code && ACTION.test(action)) return failure(code, action, title, more);
  // From a gateway, a proxy or the owner's API, so it is never a verdict on a session.
  const passing = statusCode === 429 || ((statusCode / 100) | 0) !== 4;
  return failure(undefined, statusCode === 401 ? "refresh" : passing ? "retry" : "fix", title, more);
}

/** For `then`: lets an answer pass, but for the errors that `isFatal` picks, by default all. */
const unless = (isFatal = ({ action }) => action) => (answer) => {
  const error = refusal(answer);
  if (isFatal(error)) throw error;
  return answer;
};

const pick = (...names) => (from) => names.reduce((picked, name) => ({ ...picked, [name]: from[name] }), {});

const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

function createWire(platform) {
  /** A `timeout` holds half a second later even if the platform has forgotten it, as `wx.login` was seen to. */
  function call(name, { task, ...options } = {}) {
    const { timeout } = options;
    let late;
    return new Promise((success, fail) => {
      const given = platform[name]({ ...options, success, fail });
      Promise.resolve(given).catch(fail); // Taro answers by a promise as well
      if (task) task(given);
      if (timeout) late = setTimeout(fail, timeout + 500, { errMsg: "timeout" });
    }).finally(() => clearTimeout(late));
  }

  const send = (name, options) =>
    call(name, options).catch((error = {}) => {
      if (error.statusCode) return error; // the PC client was seen to report a 401 so
      throw failure("network", "retry", error.errMsg || error.message);
    });

  /** For wxauth's own routes: at most three tries, the last of which ends `by` then. */
  async function insist({ timeout, ...options }, by = Date.now() + timeout) {
    for (const gap of [500, 1500, NaN]) {
      try {
        const answer = await send("request", { ...options, timeout: Math.min(timeout, by - Date.now()) });
        return unless(({ action }) => action === "retry")(answer);
      } catch (error) {
        const wait = Math.max(gap * (0.5 + Math.random()), 1000 * error.retry_after || 0);
        if (!(Date.now() + wait < by - 1000)) throw error;
        await pause(wait);
        if (Date.now() > by) throw error; // the app was suspended: the token may be an old one by now
      }
    }
  }

  return { call, insist, send };
}

module.exports = { createWire, failure, pause, pick, quietly, refusal, unless };
