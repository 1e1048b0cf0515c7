"use strict";

function quietly(run) {
  try {
    run();
  } catch (error) {} // a storage that fails is done without
}

/** The storage is the truth, as other instances write to it; memory serves where it fails. */
function createStore(storage, key) {
  let held = {};
  let broken = false;

  function read() {
    if (!broken) quietly(() => (held = JSON.parse(storage.getStorageSync(key)) || held));
    return held;
  }

  function save(next) {
    held = next;
    broken = true;
    quietly(() => {
      storage.setStorageSync(key, JSON.stringify(next));
      broken = false;
    });
    // An outdated refresh token would look like a stolen one at the next start.
    if (broken) quietly(() => storage.removeStorageSync(key));
    return next;
  }

  return { read, save };
}

/** Milliseconds left by elapsed time; after a clock that went backwards nobody knows, so it is time to refresh. */
function life({ expires_in, at }) {
  const elapsed = Date.now() - at;
  return elapsed < 0 ? 1 : expires_in * 1000 - elapsed;
}

module.exports = { createStore, life };
