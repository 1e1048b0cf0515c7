// What WeChat pushes: the page carries it over, and again until it is acknowledged.

import { span } from "./dom.js";
import { recordNote, recordRequest } from "./journal.js";
import { control } from "./laptop.js";

/** Has WeChat push this event. */
export async function push(event, given = {}) {
  await carry(await control("push", { event, ...given }));
}

/** One try. WeChat reads the answer, and says when the next one is. */
export async function carry({ id, query, content_type, body }) {
  const headers = { "content-type": content_type };
  const entry = recordRequest("wechat", { method: "POST", url: "/v1/push", headers, body });
  const answer = await fetch(`/v1/push?${query}`, { method: "POST", headers, body });
  const text = await answer.text();
  entry.answered({ status: answer.status, headers: Object.fromEntries(answer.headers), body: json(text) });
  const { again_in: seconds } = await control("answer", { id, status: answer.status, body: text });
  if (seconds === undefined) return;
  recordNote("note.again", { span: span(seconds) });
  const again = async () => carry(await control("repeat", { id }));
  setTimeout(() => again().catch(() => {}), seconds * 1000);
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
