"use strict";
// Conveniences only: without this script the page shows the same things.
// Tables of values: a header sorts the rows of each group, a field filters them, buttons copy what is shown.

const whole = (node) => {  // its text with long names in full, without marks of footnotes
  const copy = node.cloneNode(true);
  for (const mark of copy.querySelectorAll("sup, .unseen")) mark.remove();
  for (const short of copy.querySelectorAll("[data-whole]")) short.textContent = short.dataset.whole;
  return copy.textContent.replace(/[\p{Cc}\s]+/gu, " ").replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "").trim();
};

const button = (text, act) => {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
};

// What a table shows: a head and rows of cells; a cell has its text, and numbers in full where it is a value.
function shown(table) {
  const title = (head) => ({ text: whole(head.querySelector(".name") ?? head), key: head.dataset.key, note: head.querySelector(".detail") });
  const heads = [...table.tHead.rows[0].cells].map(title);
  const rows = [];
  for (const body of table.tBodies) {
    const group = body.querySelector("tr.group");
    for (const row of body.rows) {
      if (row === group || row.hidden) continue;
      const cells = [...row.cells].map((cell, i) => {
        const value = cell.querySelector(i ? ".value" : ".name"), { value: number, low, high } = cell.dataset;
        const interval = low === undefined ? "" : cell.querySelector(".interval")?.textContent ?? "";
        const missing = i > 0 && cell.classList.contains("null");
        return { text: missing ? "–" : whole(value ?? cell), interval, number, low, high, best: cell.matches(".best"), missing };
      });
      rows.push({ group: group ? whole(group) : "", cells });
    }
  }
  return { heads, rows };
}

const COPIES = {
  // Numbers in full, intervals in columns of their own; what a spreadsheet would take for a formula is text.
  CSV({ heads, rows }) {
    const field = (text) => {
      const plain = /^[=+@\t\r-]/.test(text) && !/^[+-]?[\d.]+(e[+-]?\d+)?%?$/i.test(text) ? `'${text}` : text;
      return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
    };
    const ends = heads.map((_, i) => rows.some((row) => row.cells[i].low !== undefined));
    const grouped = rows.some((row) => row.group);
    const lines = [heads.flatMap(({ key, text }, i) => {
      const name = key ?? text;
      return [name, ...(ends[i] ? [`${name} low`, `${name} high`] : []), ...(i === 0 && grouped ? ["Group"] : [])];
    })];
    for (const { group, cells } of rows) {
      lines.push(cells.flatMap((cell, i) => {
        const value = cell.missing ? "" : cell.number ?? cell.text;
        return [value, ...(ends[i] ? [cell.low ?? "", cell.high ?? ""] : []), ...(i === 0 && grouped ? [group] : [])];
      }));
    }
    return lines.map((line) => line.map(field).join(",") + "\r\n").join("");
  },

  // Nothing in a name is a link, a mention, a tag or a border.
  Markdown({ heads, rows }) {
    const odd = /[^\w\s.,()+=/\u0080-\u{10ffff}-]|(?<=[A-Za-z])\.(?=[A-Za-z])/gu;
    const plain = (text) => text.replace(odd, (character) => `&#${character.codePointAt(0)};`).replaceAll("&#64;", "<code>@</code>");
    const line = (cells) => `| ${cells.join(" | ")} |\n`;
    const cell = ({ text, interval, best }) => (best ? `**${plain(text)}**` : plain(text)) + (interval ? ` ${plain(interval)}` : "");
    const body = rows.map(({ cells }) => line(cells.map(cell))).join("");
    return line(heads.map(titled).map(plain)) + line(heads.map((_, i) => (i ? "---:" : "---"))) + body;
  },

  LaTeX({ heads, rows }) {
    const names = {
      "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
      "|": "\\textbar{}", '"': "\\textquotedbl{}", "\u2212": "$-$", "↑": "$\\uparrow$", "↓": "$\\downarrow$", "–": "--",
    };
    const plain = (text) => text.replace(/[\\{}$&#%_~^<>|"\u2212↑↓–]/g, (character) => names[character] ?? `\\${character}`);
    const cell = ({ text, interval, best }) => (best ? `\\textbf{${plain(text)}}` : plain(text)) + (interval ? ` {\\small ${plain(interval)}}` : "");
    const line = (cells) => `${cells.join(" & ")} \\\\\n`;
    return `\\begin{tabular}{l${"r".repeat(heads.length - 1)}}\n\\hline\n${line(heads.map(titled).map(plain))}\\hline\n` +
      `${rows.map(({ cells }) => line(cells.map(cell))).join("")}\\hline\n\\end{tabular}\n`;
  },
};

const titled = ({ text, note }) => (note ? `${text} ${whole(note)}` : text);

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = document.createElement("textarea");  // pages without a secure origin have no other way
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}

function copying(label, text) {
  const made = button(label, async () => {
    await copy(text());
    made.textContent = "Copied";
    setTimeout(() => (made.textContent = label), 1500);
  });
  return made;
}

function filter(table, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    for (const row of rows) row.hidden = !words.every((word) => whole(row.cells[0]).toLowerCase().includes(word));
    body.hidden = rows.every((row) => row.hidden);
  }
}

for (const table of document.querySelectorAll("table[data-tools]")) {
  const tools = document.createElement("div"), field = document.createElement("input");
  tools.className = "tools";
  field.type = "search";
  field.placeholder = `Filter ${table.dataset.tools}`;
  field.setAttribute("aria-label", field.placeholder);
  field.addEventListener("input", () => filter(table, field.value));
  tools.append(field, "Copy as", ...Object.entries(COPIES).map(([name, write]) => copying(name, () => write(shown(table)))));
  table.closest(".scroll").before(tools);
}

for (const head of document.querySelectorAll("table.summary thead th[data-first]")) {
  const column = [...head.parentNode.children].indexOf(head), name = head.querySelector(".name");
  const sorting = button("", () => {
    const now = head.getAttribute("aria-sort");
    const order = !now ? head.dataset.first : now === "ascending" ? "descending" : "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const last = sign * Infinity;  // rows without a value
    const key = (row) => ("value" in row.cells[column].dataset ? Number(row.cells[column].dataset.value) : last);
    for (const body of head.closest("table").tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
      rows.sort((a, b) => sign * (key(a) - key(b)) || 0);
      body.append(...rows);
    }
  });
  name.before(sorting);
  sorting.append(name);
}

for (const box of document.querySelectorAll("pre.command")) {
  box.append(copying("Copy", () => box.querySelector("code").textContent));
}
