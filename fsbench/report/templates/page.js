// A box that scrolls is reached with the keyboard.
const reachable = new ResizeObserver((boxes) => {
  for (const { target: box } of boxes) {
    const scrolls = box.scrollWidth > box.clientWidth;
    scrolls ? box.setAttribute("tabindex", "0") : box.removeAttribute("tabindex");
  }
});
for (const box of document.querySelectorAll(".scroll")) reachable.observe(box);

// A link leads into what is folded.
const reveal = () => {
  const aim = location.hash && document.getElementById(location.hash.slice(1));
  for (let part = aim && aim.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  if (aim) aim.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();

// What is folded would be missing on paper; a brief has it folded there, too.
if (!document.querySelector("main.brief")) {
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
}
