// The other end of `/playground/`: the simulated WeChat, the server's clock and its log.

/** The clock and the log move on their own; so often they are asked for. */
const POLL = 1000;

/** What a control route answers. Its refusal is an error with the laptop's own words. */
export async function control(route, body) {
  return send("POST", `sim/${route}`, body);
}

/** The last change of the script: one waits for the other, so that the one that was asked for last is played. */
let scripted = Promise.resolve();

/** Makes WeChat answer so until told otherwise; without a fault it works. */
export function script(fault) {
  const change = async () => {
    await send("DELETE", "sim/script");
    if (fault) await control("script", { api: "*", fault });
    await pull();
  };
  scripted = scripted.then(change, change);
  return scripted;
}

/** What the shop's function does with a message from now on. */
export async function setConduct(conduct) {
  await send("POST", "owner/conduct", { conduct });
  await pull();
}

/** Users, sessions, clock and faults as at the first start. Resolves when the laptop is there again. */
export async function startOver() {
  const { since } = laptop;
  await send("POST", "start-over", {});
  do {
    await new Promise((done) => setTimeout(done, 200));
    await pull();
  } while (!laptop.reachable || laptop.since === since);
}

export async function advance(seconds) {
  const { ahead } = await send("POST", "clock", { advance: seconds });
  laptop.ahead = ahead;
  await pull();
}

async function send(method, route, body) {
  const answer = await fetch(`/playground/${route}`, { method, body: body && JSON.stringify(body) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

/** What is known of the laptop. */
export const laptop = {
  ahead: 0,
  simulator: true,
  /** The faults that WeChat plays, and what the shop's function does. */
  script: [],
  conduct: "takes",
  owner: true,
  reachable: true,
  offset: 0,
  /** The last line of the log that was read, and since when the laptop runs. */
  last: undefined,
  since: undefined,
};

/** The server's time in seconds. */
export function serverNow() {
  return Date.now() / 1000 + laptop.offset;
}

const listeners = new Set();
let asking = null;

/** Calls with the new log lines, and whenever the clock has been looked at. */
export function onLog(listener) {
  listeners.add(listener);
}

/** Asks for new log lines now. Those who ask at once share an answer that was asked for after them. */
export async function pull() {
  await asking;
  asking ??= ask().finally(() => (asking = null));
  await asking;
}

async function ask() {
  try {
    const answer = await fetch(`/playground/log?after=${laptop.last ?? 0}`);
    const { now, lines, ...told } = await answer.json();
    // Lines from before this page was opened are not its story.
    const fresh = laptop.last === undefined ? [] : lines;
    const offset = now - Math.floor(Date.now() / 1000);
    Object.assign(laptop, { ...told, script: told.script ?? [], reachable: true, offset });
    for (const listener of listeners) listener(fresh);
  } catch {
    laptop.reachable = false;
    for (const listener of listeners) listener([]);
  }
}

/** Begins to look. A page that nobody sees does not. */
export async function watch() {
  await pull();
  setInterval(() => {
    if (!document.hidden) pull();
  }, POLL);
}
