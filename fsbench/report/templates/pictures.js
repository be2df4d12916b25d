// Pictures: a pair opens large, with a slider between any two of its pictures and every number of every model.

const pairs = {}, columns = [];
for (const source of document.querySelectorAll("script.pairs")) {
  const told = JSON.parse(source.textContent);
  columns.splice(0, columns.length, ...told.columns);
  Object.assign(pairs, told.pairs);
}

const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

// Two pictures on top of each other; the range says how much of the first is seen.
function slider(images) {
  const [left, right] = [element("img", { alt: "" }), element("img", { alt: "", class: "over" })];
  const range = element("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Border between the two pictures" });
  const frame = element("div", { class: "slider", style: "--at: 50%" }, left, right);
  range.addEventListener("input", () => frame.style.setProperty("--at", `${range.value}%`));
  const choice = (label, image, chosen) => {
    const select = element("select", { "aria-label": label }, ...images.map((one, i) => element("option", { value: i }, one.dataset.role)));
    const show = () => Object.assign(image, { src: images[select.value].src, alt: images[select.value].alt });
    select.value = chosen;
    select.addEventListener("change", show);
    show();
    return select;
  };
  const outputs = [...images.keys()].filter((i) => !["source", "target", "exact"].includes(images[i].dataset.role));
  const target = Math.max(0, images.findIndex((image) => image.dataset.role === "target"));
  const [first, second] = outputs.length > 1 ? outputs : [target, outputs[0] ?? 0];
  return element("figure", {}, frame, element("div", { class: "tools" }, choice("Left picture", left, first), range, choice("Right picture", right, second)));
}

function numbers(pair) {
  const head = element("tr", {}, element("th", { scope: "col" }, "number"), ...pair.models.map(([name]) => element("th", { scope: "col" }, name)));
  const rows = columns.map((column, i) => element("tr", {}, element("th", { scope: "row" }, column), ...pair.models.map((model) => element("td", {}, model[i + 1]))));
  const known = rows.filter((row) => [...row.cells].slice(1).some((cell) => cell.textContent));
  const facts = element("dl", { class: "facts" }, ...pair.facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  return [element("div", { class: "scroll", tabindex: 0 }, element("table", { class: "plain" }, element("thead", {}, head), element("tbody", {}, ...known))), facts];
}

const dialog = element("dialog", { "aria-labelledby": "pair-title" });
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

function open(place) {
  const pair = pairs[place.dataset.pair];
  const images = [...place.querySelectorAll("img")];
  const close = button("Close", () => dialog.close());
  const title = element("h2", { id: "pair-title" }, pair?.title ?? place.dataset.title ?? "Pictures");
  dialog.replaceChildren(element("div", { class: "tools" }, title, close), ...(images.length > 1 ? [slider(images)] : []), ...(pair ? numbers(pair) : []));
  if (!dialog.isConnected) document.body.append(dialog);
  dialog.showModal();
}

for (const place of document.querySelectorAll("[data-pair]")) {
  const more = button("Compare", () => open(place));
  more.className = "open";
  more.setAttribute("aria-label", `Compare the pictures and numbers of ${pairs[place.dataset.pair]?.title ?? place.dataset.title ?? "this pair"}`);
  (place.matches("tr") ? place.cells[0] : place).append(more);
  for (const image of place.querySelectorAll("img")) image.addEventListener("click", () => open(place));
}

// Galleries show what one rule chose, of targets in one slice.
for (const section of document.querySelectorAll("#galleries")) {
  const strips = [...section.querySelectorAll(".strip[data-pair]")];
  const rules = [...new Set([...section.querySelectorAll("[data-rule]")].map((group) => group.dataset.rule))];
  const slices = [...new Set(strips.flatMap((strip) => pairs[strip.dataset.pair]?.slices ?? []))].sort();
  if (!strips.length) continue;
  const select = (label, first, names) => element("label", {}, label, element("select", {}, element("option", { value: "" }, first), ...names.map((name) => element("option", {}, name))));
  const [rule, slice] = [select("Chosen ", "by any rule", rules), select("Targets ", "all", slices)];
  const count = element("output", {});
  const show = () => {
    const [wantedRule, wantedSlice] = [rule, slice].map((label) => label.querySelector("select").value);
    for (const group of section.querySelectorAll("[data-rule]")) {
      const own = [...group.querySelectorAll(".strip")];
      for (const strip of own) strip.hidden = wantedSlice !== "" && !pairs[strip.dataset.pair].slices.includes(wantedSlice);
      group.hidden = (wantedRule !== "" && group.dataset.rule !== wantedRule) || own.every((strip) => strip.hidden);
    }
    count.textContent = `${strips.filter((strip) => !strip.hidden && !strip.closest("[data-rule]").hidden).length} of ${strips.length} shown`;
  };
  for (const label of [rule, slice]) label.addEventListener("change", show);
  section.querySelector(".note").after(element("div", { class: "tools" }, rule, slice, count));
  show();
}
