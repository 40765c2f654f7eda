/* The next certificate numbers under the pattern that is being typed. */
(() => {
  "use strict";
  const box = document.querySelector("[data-number-preview]");
  const input = document.querySelector("#value");
  if (!box || !input) return;
  const rows = box.querySelector("[data-rows]");
  const error = box.querySelector("[data-error]");
  let timer = 0;
  let asked = 0;
  /* What stands there belongs to another pattern from the first key on. */
  const clear = (words = "") => { error.textContent = words; rows.replaceChildren(); };
  const ask = async () => {
    const turn = ++asked;
    try {
      const answer = await fetch(`${box.dataset.numberPreview}?value=${encodeURIComponent(input.value)}`, { headers: { "X-Requested-With": "fetch" } });
      const found = await answer.json();
      if (turn !== asked) return; /* something newer was typed meanwhile */
      error.textContent = found.error;
      rows.replaceChildren(...found.rows.map((cells) => {
        const row = document.createElement("tr");
        row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
        return row;
      }));
    } catch { if (turn === asked) clear(box.dataset.unasked); }
  };
  input.addEventListener("input", () => { clear(); asked += 1; window.clearTimeout(timer); timer = window.setTimeout(ask, 250); });
  ask();
})();
