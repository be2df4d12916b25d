"use strict";
// Conveniences only: without this script the page shows the same things.

// A header sorts the rows of each group; groups are never mixed, and rows without a value stay last.
for (const head of document.querySelectorAll("table.summary thead th[data-first]")) {
  const column = [...head.parentNode.children].indexOf(head);
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", (event) => {
    if (event.target.closest("a")) return;
    const now = head.getAttribute("aria-sort");
    const order = !now ? head.dataset.first : now === "ascending" ? "descending" : "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const worst = sign * Infinity;
    const key = (row) => ("value" in row.cells[column].dataset ? Number(row.cells[column].dataset.value) : worst);
    for (const body of head.closest("table").tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
      rows.sort((a, b) => sign * (key(a) - key(b)) || 0);
      body.append(...rows);
    }
  });
}

for (const box of document.querySelectorAll("pre.command")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(box.querySelector("code").textContent);
    button.textContent = "Copied";
  });
  box.append(button);
}

// Closed galleries would be missing on paper.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
