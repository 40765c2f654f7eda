/* Lists: bulk selection, filters on a phone, the operator of a filter. */
(() => {
  "use strict";
  const { all } = window.portal;
  const chinese = document.documentElement.lang.startsWith("zh");

  /* Bulk: which rows, how many, and the buttons say so */
  all("[data-bulk]").forEach((form) => {
    const ticks = all(`[data-tick][form="${form.id}"]`);
    const page = form.querySelector("[data-tick-all]");
    const every = form.querySelector("[data-tick-every]");
    const count = form.querySelector("[data-count]");
    const buttons = all("button", form);
    buttons.forEach((button) => { button.dataset.label = button.textContent.trim(); });
    let last = null;
    const refresh = () => {
      const ticked = ticks.filter((tick) => tick.checked).length;
      const everything = Boolean(every && every.checked);
      const chosen = everything ? Number(form.dataset.total) : ticked;
      const mark = form.querySelector("[data-all]");
      if (mark) mark.value = everything ? "1" : "";
      count.textContent = String(chosen);
      page.checked = ticked > 0 && ticked === ticks.length;
      page.indeterminate = ticked > 0 && ticked < ticks.length;
      form.classList.toggle("on", chosen > 0);
      buttons.forEach((button) => {
        button.disabled = chosen === 0;
        button.lastChild.textContent = chosen ? button.dataset.label + (chinese ? `（${chosen}）` : ` (${chosen})`) : button.dataset.label;
      });
    };
    page.addEventListener("change", () => {
      ticks.forEach((tick) => { tick.checked = page.checked; });
      if (every) every.checked = false;
      refresh();
    });
    if (every) every.addEventListener("change", () => { ticks.forEach((tick) => { tick.checked = every.checked; }); refresh(); });
    ticks.forEach((tick, index) => {
      tick.addEventListener("click", (event) => {
        /* with Shift, everything between the last tick and this one */
        if (event.shiftKey && last !== null) {
          const [from, to] = [last, index].sort((a, b) => a - b);
          ticks.slice(from, to + 1).forEach((each) => { each.checked = tick.checked; });
        }
        last = index;
      });
      tick.addEventListener("change", () => { if (every) every.checked = false; refresh(); });
    });
    refresh();
    /* the browser may restore ticks when one comes back */
    window.addEventListener("pageshow", refresh);
  });

  /* Filters behind a button on a phone */
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-filters]");
    if (button) {
      const open = button.nextElementSibling.classList.toggle("open");
      button.setAttribute("aria-expanded", String(open));
    }
    all("details.filter-drawer[open]").forEach((drawer) => { if (!drawer.contains(event.target)) drawer.open = false; });
    const close = event.target.closest("[data-close-drawer]");
    if (close) close.closest("details").open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") all("details.filter-drawer[open]").forEach((drawer) => { drawer.open = false; drawer.querySelector("summary").focus(); });
  });
  all("[data-query]").forEach((form) => {
    const hidden = all(".query-fields .field", form).slice(2);
    if (hidden.some((field) => field.querySelector("input, select").value)) form.classList.add("open");
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-more]");
    if (button) button.setAttribute("aria-expanded", String(button.form.classList.toggle("open")));
  });

  /* A filter's operator is part of its field's name; what was left empty is not sent */
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-operator]")) return;
    const value = event.target.closest(".filter-row").querySelector("[data-value]");
    value.name = event.target.value;
  });
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "get") return;
    all("input[name], select[name]", event.target).forEach((field) => {
      if (field.value === "" && !field.disabled) {
        field.disabled = true;
        window.setTimeout(() => { field.disabled = false; }, 0);
      }
    });
  });
})();
