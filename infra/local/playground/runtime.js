// As much of WeChat's page runtime as the pages use.

/** A page of these options. `enter` shows it, and paints it by the given function whenever its data changes. */
export function runPage(options) {
  const page = { ...options, data: { ...options.data } };
  let paint = () => {};
  let loaded = false;
  page.setData = (change) => {
    Object.assign(page.data, change);
    paint();
  };
  page.enter = (painter) => {
    paint = painter;
    paint();
    if (!loaded) page.onLoad?.({});
    loaded = true;
    return page.onShow?.();
  };
  page.leave = () => page.onHide?.();
  return page;
}
