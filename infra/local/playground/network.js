// The network between a phone and the server. The panel sets the one that all phones share.

/** A network that works. A loss waits for the next request that it is meant for, and is then spent. */
export function createNetwork() {
  const listeners = new Set();
  const made = {
    slow: false,
    offline: false,
    /** `{ what: "answer" | "request", of: path or "any" }`, or nothing. */
    loss: null,

    set(change) {
      Object.assign(made, change);
      for (const listener of listeners) listener();
    },

    /** What this request loses. */
    takeLoss(path) {
      const { loss } = made;
      if (!loss || (loss.of !== "any" && loss.of !== path)) return null;
      made.set({ loss: null });
      return loss.what;
    },

    onChange: (listener) => listeners.add(listener),
  };
  return made;
}

export const network = createNetwork();
