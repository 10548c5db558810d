// Live figures: each .live box holds its data as JSON and a still picture, which this script replaces. No library.
(function () {
  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }
  const shown = (word) => word.replaceAll(" ", "·").replaceAll("\n", "↵");

  // A row of buttons of which one is chosen.
  function choice(names, chosen, label, change) {
    const buttons = names.map((name, i) => element("button", { type: "button", "aria-pressed": String(i === chosen),
      onclick: () => { buttons.forEach((each, j) => each.setAttribute("aria-pressed", String(i === j))); change(i); } }, name));
    return element("div", { class: "live-choice", role: "group", "aria-label": label }, ...buttons);
  }

  const kinds = {
    // Whom does a word read? Hover, tap, or tab to it.
    reads(box, data) {
      let state = data.states.length - 1, head = 0, at = data.start;
      const heads = element("div"), said = element("p", { class: "live-said", "aria-live": "polite" });
      const words = data.words.map((word, i) => element("button", { type: "button", class: "live-word",
        onmouseenter: () => look(i), onfocus: () => look(i), onclick: () => look(i) },
        element("span", {}, shown(word)), element("small", {}, "")));
      function look(i) {
        at = i;
        const row = data.states[state].heads[head].rows[at];
        words.forEach((word, j) => {
          word.style.setProperty("--weight", row[j]);
          word.classList.toggle("live-at", j === at);
          word.lastChild.textContent = row[j] >= 0.005 ? row[j].toFixed(2).replace(/^0/, "") : "";
        });
        const best = row.indexOf(Math.max(...row));
        said.textContent = `“${shown(data.words[at])}” reads “${shown(data.words[best])}” most: ${row[best].toFixed(2)}`;
      }
      function chooseState(i) {
        state = i;
        head = Math.min(head, data.states[i].heads.length - 1);
        heads.replaceChildren(choice(data.states[i].heads.map((each) => each.name), head, "head", (j) => { head = j; look(at); }));
        look(at);
      }
      const bars = data.states.length > 1
        ? [choice(data.states.map((each) => each.name), state, "state of the model", chooseState)] : [];
      box.replaceChildren(...bars, heads, element("div", { class: "live-words" }, ...words), said);
      chooseState(state);
    },

    // One picture at a time.
    frames(box, data) {
      let at = 0;
      const picture = element("div", { class: "figure" }), said = element("p", { class: "live-said", "aria-live": "polite" });
      const back = element("button", { type: "button", onclick: () => go(at - 1) }, "‹ back");
      const on = element("button", { type: "button", onclick: () => go(at + 1) }, "next ›");
      const count = element("span", { class: "live-count" });
      const slider = element("input", { type: "range", min: 0, max: data.frames.length - 1, value: 0, "aria-label": "step",
        oninput: (event) => go(Number(event.target.value)) });
      function go(i) {
        at = Math.max(0, Math.min(data.frames.length - 1, i));
        picture.innerHTML = data.frames[at];
        said.textContent = data.captions[at] || "";
        slider.value = at;
        back.disabled = at === 0;
        on.disabled = at === data.frames.length - 1;
        count.textContent = `${at + 1} of ${data.frames.length}`;
      }
      box.replaceChildren(element("div", { class: "live-choice" }, back, slider, on, count), picture, said);
      go(0);
    },

    // Softmax of logits divided by a temperature.
    temperature(box, data) {
      const value = element("output", {}), rows = data.words.map((word) => {
        const bar = element("span", { class: "live-bar" }), number = element("span", { class: "live-number" });
        return { bar, number, row: element("div", { class: "live-row" }, element("code", {}, shown(word)),
          element("span", { class: "live-track" }, bar), number) };
      });
      const slider = element("input", { type: "range", min: 0.1, max: 3, step: 0.05, value: data.start, "aria-label": "temperature",
        oninput: draw });
      function draw() {
        const t = Number(slider.value), weights = data.logits.map((x) => Math.exp(x / t));
        const whole = weights.reduce((a, b) => a + b, 0);
        value.textContent = t.toFixed(2);
        rows.forEach(({ bar, number }, i) => {
          bar.style.width = `${(100 * weights[i]) / whole}%`;
          number.textContent = (weights[i] / whole).toFixed(3);
        });
      }
      box.replaceChildren(element("label", { class: "live-choice" }, "temperature ", slider, " ", value),
        ...rows.map((each) => each.row));
      draw();
    },
  };

  function wake() {
    for (const figure of document.querySelectorAll(".live:not(.awake)")) {
      const data = figure.querySelector('script[type="application/json"]'), still = figure.querySelector(".still");
      const kind = kinds[figure.dataset.kind];
      if (!data || !still || !kind) continue;
      figure.classList.add("awake");
      kind(still, JSON.parse(data.textContent));
    }
  }
  if (!document.getElementById("live-style")) {
    document.head.append(element("style", { id: "live-style" }, `
.live { margin: 0.6em 0; font-family: var(--book-sans, system-ui, sans-serif); }
.live button, .live input { font: inherit; font-size: 0.85rem; }
.live-choice { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem; margin: 0.3rem 0; font-size: 0.85rem; }
.live-choice input { flex: 1 1 8rem; max-width: 22rem; }
.live-choice button { border: 1px solid #8886; border-radius: 5px; background: transparent; color: inherit; padding: 0.15rem 0.55rem; cursor: pointer; }
.live-choice button[aria-pressed="true"] { border-color: var(--figure-blue, #0072b2); background: color-mix(in srgb, var(--figure-blue, #0072b2) 22%, transparent); font-weight: 600; }
.live-choice button:disabled { opacity: 0.4; cursor: default; }
.live-words { display: flex; flex-wrap: wrap; gap: 0.25rem; margin: 0.5rem 0; }
.live-word { display: flex; flex-direction: column; align-items: center; min-width: 1.7rem; border: 1px solid #8884; border-radius: 5px; color: inherit; padding: 0.15rem 0.4rem; cursor: pointer;
  background: color-mix(in srgb, var(--figure-orange, #d55e00) calc(var(--weight, 0) * 85%), transparent); }
.live-word span { font-family: var(--book-mono, ui-monospace, monospace); }
.live-word small { font-size: 0.68rem; min-height: 1em; opacity: 0.85; }
.live-word.live-at { border: 2px solid var(--figure-blue, #0072b2); }
.live-said { min-height: 1.5em; font-size: 0.88rem; margin: 0.3rem 0; }
.live-row { display: grid; grid-template-columns: 7rem 1fr 3.6rem; align-items: center; gap: 0.6rem; font-size: 0.85rem; margin: 0.12rem 0; }
.live-row code { text-align: right; background: none; }
.live-track { display: block; height: 0.95rem; }
.live-bar { display: block; height: 100%; min-width: 1px; background: var(--figure-blue, #0072b2); border-radius: 2px; }
@media print { .live-choice { display: none; } }`));
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", wake);
  else wake();
})();
