// The network between all phones and the server, as the panel sets it.

const listeners = new Set();

/** The conditions. A loss waits for the next request that it is meant for, and is then spent. */
export const network = {
  slow: false,
  offline: false,
  /** `{ what: "answer" | "request", of: path or "any" }`, or nothing. */
  loss: null,

  set(change) {
    Object.assign(network, change);
    for (const listener of listeners) listener();
  },

  /** What this request loses. */
  takeLoss(path) {
    const { loss } = network;
    if (!loss || (loss.of !== "any" && loss.of !== path)) return null;
    network.set({ loss: null });
    return loss.what;
  },

  onChange: (listener) => listeners.add(listener),
};
