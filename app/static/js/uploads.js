/* Files: what was chosen, by name and size, what is wrong with it before it is sent, and how far the sending is. */
(() => {
  "use strict";
  const { all, words, say, release } = window.portal;
  const size = (bytes) => (bytes < 1048576 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1048576).toFixed(1)} MB`);
  const make = (tag, text, css = "") => Object.assign(document.createElement(tag), { textContent: text, className: css });

  function faultOf(file, before, accept) {
    const name = file.name.toLowerCase();
    const allowed = accept.split(",").map((each) => each.trim().toLowerCase()).filter((each) => each.startsWith("."));
    if (allowed.includes(".zip") && /\.(rar|7z|tar|gz)$/.test(name)) return words.useZip;
    if (allowed.length && !allowed.some((each) => name.endsWith(each))) return words.wrongType;
    if (file.size === 0) return words.emptyFile;
    if (before.some((other) => other.name.toLowerCase() === name)) return words.sameName;
    return "";
  }

  function leaveOut(input, right, count) {
    const button = Object.assign(make("button", words.leaveOut.replace("{n}", String(count)), "btn btn-small"), { type: "button" });
    button.addEventListener("click", (event) => {
      event.preventDefault();
      const given = new DataTransfer();
      right.forEach((file) => given.items.add(file));
      input.files = given.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      input.focus();
    });
    return button;
  }

  function show(box, input) {
    const files = [...input.files];
    const total = files.reduce((sum, file) => sum + file.size, 0);
    const most = Number(box.dataset.most);
    let bad = 0;
    const right = [];
    const lines = files.map((file, index) => {
      const line = document.createElement("li");
      const fault = faultOf(file, files.slice(0, index), input.accept) || (file.size > most ? box.dataset.tooBig : "");
      bad += fault ? 1 : 0;
      if (!fault) right.push(file);
      const name = make("b", file.name);
      name.title = file.name;
      line.append(name, make("span", size(file.size)), make("span", fault || words.ready, fault ? "bad" : ""));
      return line;
    });
    if (files.length > 1) {
      const line = make("li", "", "sum");
      const over = total > most;
      bad += over ? 1 : 0;
      line.append(make("b", words.sum.replace("{n}", String(files.length))), make("span", size(total)), make("span", over ? box.dataset.tooBig : "", "bad"));
      /* of a whole folder one cannot choose anew for each file that does not belong */
      if (right.length && right.length < files.length) line.append(leaveOut(input, right, files.length - right.length));
      lines.push(line);
    }
    box.querySelector("[data-files]").replaceChildren(...lines);
    /* the browser then says it at the field, and nothing is sent in vain */
    input.setCustomValidity(bad ? words.badFiles : "");
  }

  all("[data-drop]").forEach((box) => {
    const input = box.querySelector("input");
    input.addEventListener("change", () => show(box, input));
    ["dragenter", "dragover"].forEach((name) => box.addEventListener(name, (event) => { event.preventDefault(); box.classList.add("over"); }));
    ["dragleave", "drop"].forEach((name) => box.addEventListener(name, () => box.classList.remove("over")));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      if (!event.dataTransfer.files.length) return;
      const given = new DataTransfer();
      [...event.dataTransfer.files].slice(0, input.multiple ? undefined : 1).forEach((file) => given.items.add(file));
      input.files = given.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  });
  /* a file that misses its field must not replace the page */
  ["dragover", "drop"].forEach((name) => window.addEventListener(name, (event) => { if (!event.target.closest("[data-drop]")) event.preventDefault(); }));

  /* Sending with a bar. The answer is the page the server sends, or JSON with `location` or `message`. */
  function send(form, pressed) {
    const bar = Object.assign(document.createElement("progress"), { max: 100, value: 0 });
    const text = make("span", words.sending, "small muted");
    const box = make("div", "", "upload");
    bar.setAttribute("aria-label", words.sending);
    text.setAttribute("aria-live", "polite");
    box.append(bar, text);
    form.append(box);
    const fail = (message) => { box.remove(); release(form); say(message, "bad"); };
    const request = new XMLHttpRequest();
    request.open("POST", form.getAttribute("action") || window.location.href);
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      const done = Math.round((event.loaded / event.total) * 100);
      bar.value = done;
      text.textContent = done < 100 ? `${words.sending} ${done}%` : words.working;
    });
    request.addEventListener("error", () => fail(words.offline));
    request.addEventListener("load", () => {
      if ((request.getResponseHeader("Content-Type") || "").includes("json")) {
        let answer = {};
        try { answer = JSON.parse(request.responseText); } catch { /* said below */ }
        if (answer.location) window.location.assign(answer.location);
        else fail(answer.message || words.offline);
        return;
      }
      /* A form may take the faults out of its page and keep the files that were chosen. */
      const answered = new CustomEvent("answered", { cancelable: true, detail: request.responseText });
      if (!form.dispatchEvent(answered)) { box.remove(); release(form); return; }
      /* A page: show it as if the form had been sent the plain way, messages included. */
      window.history.pushState(null, "", request.responseURL);
      document.open();
      document.write(request.responseText);
      document.close();
      window.scrollTo(0, 0);
    });
    request.send(new FormData(form, pressed));
  }
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.enctype !== "multipart/form-data" || form.method !== "post") return;
    if (!all("input[type=file]", form).some((input) => input.files.length && input.closest("[data-drop]"))) return;
    event.preventDefault();
    send(form, event.submitter);
  });
})();
