/* Photos: many files and whole folders, sent in parts with a bar; one photo on one slot. Without this file the forms send as they are. */
(() => {
  "use strict";
  const { all, say, release } = window.portal;
  const SLICE = 8 * 1048576;
  const TOGETHER = 40;
  const token = () => document.querySelector("meta[name=csrf-token]").content;
  const litter = (name) => name.startsWith(".") || /^(thumbs\.db|desktop\.ini)$/i.test(name);

  /* A folder that is dropped: every file in it, however deep */
  async function filesOf(entry) {
    if (entry.isFile) return litter(entry.name) ? [] : [await new Promise((done, fail) => { entry.file(done, fail); })];
    if (entry.name === "__MACOSX") return [];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((done, fail) => { reader.readEntries(done, fail); });
      if (!some.length) return found;
      for (const each of some) found.push(...await filesOf(each));
    }
  }
  all("form[data-parts] [data-drop]").forEach((box) => box.addEventListener("drop", async (event) => {
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    box.classList.remove("over");
    const given = new DataTransfer();
    for (const entry of entries) (await filesOf(entry)).forEach((file) => given.items.add(file));
    const input = box.querySelector("input");
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, true));

  async function post(url, body) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const answer = await fetch(url, { method: "POST", body, headers: { "X-CSRFToken": token(), "X-Requested-With": "fetch" } });
        if (answer.redirected) { window.location.reload(); return new Promise(() => {}); }
        if (answer.status < 500) {
          const told = await answer.json();
          if (!answer.ok) throw Object.assign(new Error(told.message), { told: true });
          return told;
        }
      } catch (error) { if (error.told || attempt > 3) throw error; }
      if (attempt > 3) throw new Error("5xx");
      /* the line was down for a moment: the same part again; the server keeps it once */
      await new Promise((done) => { window.setTimeout(done, 1000 * 2 ** attempt); });
    }
  }
  const form = (values) => { const data = new FormData(); Object.entries(values).forEach(([name, value]) => data.append(name, value)); return data; };

  function groups(files) {
    const found = [];
    let size = SLICE;
    files.forEach((file) => {
      if (size + file.size > SLICE || found[found.length - 1].length >= TOGETHER) { found.push([]); size = 0; }
      found[found.length - 1].push(file);
      size += file.size;
    });
    return found;
  }
  /* [form, name, count, parts]: each zip is an upload of its own, all loose photos together are one */
  function uploads(files) {
    const zips = files.filter((file) => /\.zip$/i.test(file.name));
    const loose = files.filter((file) => !/\.zip$/i.test(file.name));
    const made = zips.map((file) => {
      const parts = [];
      for (let at = 0; at < file.size; at += SLICE) parts.push([new File([file.slice(at, at + SLICE)], file.name)]);
      return ["zip", file.name, 1, parts];
    });
    return loose.length ? [...made, ["files", "", loose.length, groups(loose)]] : made;
  }

  async function send(element) {
    const bar = Object.assign(document.createElement("progress"), { max: 100, value: 0 });
    const text = Object.assign(document.createElement("span"), { className: "small muted" });
    const box = Object.assign(document.createElement("div"), { className: "upload" });
    text.setAttribute("aria-live", "polite");
    box.append(bar, text);
    element.append(box);
    const todo = uploads([...element.querySelector("input[type=file]").files]);
    const count = todo.reduce((sum, [, , , parts]) => sum + parts.length, 0);
    let done = 0;
    let last = null;
    const show = () => { bar.value = (done / count) * 100; text.textContent = element.dataset.sending.replace("{done}", done).replace("{all}", count); };
    show();
    try {
      for (const [kind, name, number, parts] of todo) {
        const begun = await post(element.dataset.parts, form({ form: kind, name, count: number }));
        for (const [index, files] of parts.entries()) {
          const data = new FormData();
          files.forEach((file) => data.append("photos", file, file.name));
          await post(`${begun.part}/${index}`, data);
          done += 1;
          show();
        }
        last = await post(begun.finish, form({ parts: parts.length }));
      }
      window.location.assign(last.location);
    } catch (error) {
      box.remove();
      release(element);
      say(error.told ? error.message : element.dataset.failed, "bad");
    }
  }
  /* before the general sender of forms with files, which would send all at once */
  document.addEventListener("submit", (event) => {
    const element = event.target;
    if (!element.matches("form[data-parts]") || event.defaultPrevented) return;
    if (!element.querySelector("input[type=file]").files.length) return;
    event.preventDefault();
    if (element.dataset.sent) return;
    element.dataset.sent = "1";
    all("button", element).forEach((button) => { button.disabled = true; button.dataset.held = ""; });
    send(element);
  }, true);

  /* One photo dropped on its slot */
  all("[data-slot]").forEach((slot) => {
    ["dragenter", "dragover"].forEach((name) => slot.addEventListener(name, (event) => { event.preventDefault(); slot.classList.add("over"); }));
    ["dragleave", "drop"].forEach((name) => slot.addEventListener(name, () => slot.classList.remove("over")));
    slot.addEventListener("drop", (event) => {
      event.preventDefault();
      if (!event.dataTransfer.files.length) return;
      const given = new DataTransfer();
      given.items.add(event.dataTransfer.files[0]);
      const input = slot.querySelector("input");
      input.files = given.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
    slot.querySelector("input").addEventListener("change", () => slot.classList.add("busy"));
  });
})();
