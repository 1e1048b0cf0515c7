// What a page shows: its words in order, and what a tap on each of its buttons calls.

/** The tree of a WXML of uni-app, which has no templates and no `>` in its expressions. */
function parse(wxml) {
  const root = { children: [] };
  const open = [root];
  for (const [, slash, name, rest, words] of wxml.matchAll(/<(\/?)([\w-]+)([^>]*)>|([^<]+)/g)) {
    if (slash) open.shift();
    else if (!name) open[0].children.push({ words });
    else {
      const node = { name, children: [], attributes: Object.fromEntries([...rest.matchAll(/([\w:-]+)(?:="([^"]*)")?/g)].map(([, key, text = ""]) => [key, text])) };
      open[0].children.push(node);
      if (!rest.endsWith("/")) open.unshift(node);
    }
  }
  return root;
}

const inside = (text) => /^\{\{(.*)\}\}$/.exec(text)[1];
const known = (data) => new Proxy(data, { has: () => true }); // what is not there is undefined
const value = (expression, data) => new Function("data", `with (data) return (${expression})`)(known(data));

function* shownOf(node, data) {
  let isDone; // one of a chain of `wx:if` is shown
  for (const { name, words, attributes = {}, children } of node.children) {
    if (!name) {
      yield { words: words.replace(/\{\{(.*?)\}\}/g, (_, expression) => value(expression, data)) };
      continue;
    }
    const { bindtap, "wx:if": first, "wx:elif": next, "wx:else": last, "wx:for": list, "wx:for-item": item } = attributes;
    if (first) isDone = false;
    if (first || next || last !== undefined) {
      if (isDone || !(last !== undefined || value(inside(first || next), data))) continue;
      isDone = true;
    }
    for (const each of list ? value(inside(list), data) : [undefined]) {
      const own = [...shownOf({ children }, list ? { ...data, [item]: each } : data)];
      yield* bindtap ? own.map((one) => ({ ...one, tap: value(inside(bindtap), data) })) : own;
    }
  }
}

export const ofUni = (wxml) => (page) => [...shownOf(parse(wxml), page.data)];

/** Taro hands the whole tree to its templates: `cn` are children, `v` is text, `sid` is whose event it is. */
const walk = ({ v, cn = [], sid }, near) =>
  v === undefined ? cn.flatMap((child) => walk(child, sid)) : [{ words: v, tap: "eh", sid: near }];

export const ofTaro = (page) => walk(page.data.root);
