/* Before the first paint: that scripts run, and whether the menu is folded, so that nothing jumps. */
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  try {
    if (window.localStorage.getItem("portal.menu") === "narrow") root.classList.add("narrow");
  } catch { /* storage may be forbidden: the menu is then unfolded */ }
})();
