/* The grid of marks: Enter and the arrows go to the same column of the next or previous person; who is absent or excluded has no marks. */
(() => {
  "use strict";
  const grid = document.querySelector("[data-marks]");
  if (!grid) return;
  const rows = [...grid.tBodies[0].rows];
  const fields = (row) => [...row.querySelectorAll("input.mark-field, select")];

  const settle = (row) => {
    const excluded = row.querySelector("select").value !== "";
    row.querySelectorAll("input.mark-field").forEach((field) => {
      if (excluded) field.value = "";
      field.readOnly = excluded;
    });
  };

  rows.forEach((row, index) => {
    row.addEventListener("keydown", (event) => {
      const step = { Enter: 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || event.isComposing || (event.target.tagName === "SELECT" && event.key !== "Enter")) return;
      event.preventDefault();
      const column = fields(row).indexOf(event.target);
      let next = index + step;
      while (rows[next] && fields(rows[next])[column].readOnly) next += step;
      if (rows[next]) {
        const field = fields(rows[next])[column];
        field.focus();
        if (field.select) field.select();
      } else if (step > 0) grid.closest("form").querySelector("button.btn-primary").focus();
    });
    row.querySelector("select").addEventListener("change", () => settle(row));
    settle(row);
  });
})();
