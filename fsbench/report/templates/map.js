"use strict";
// The map in space turns: by itself, by dragging, with the arrow keys. Without this script it is a still picture.

const still = matchMedia("(prefers-reduced-motion: reduce)");

for (const figure of document.querySelectorAll("figure.space")) {
  const map = JSON.parse(figure.querySelector("script").textContent);
  const canvas = document.createElement("canvas");
  const picture = figure.querySelector("svg");
  const pen = canvas.getContext("2d");
  if (!pen) continue;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", picture.getAttribute("aria-label") + "; drag it, or use the arrow keys, to turn it");
  picture.replaceWith(canvas);

  const models = [...new Set(map.clouds.map((cloud) => cloud.model))];
  const shown = new Set(["", models.find((model) => model !== "")]);
  let [turn, tilt, moving, visible, waiting, last] = [map.turn, map.tilt, !still.matches, false, false, 0];

  function draw() {
    const side = canvas.clientWidth, scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(side * scale)) canvas.width = canvas.height = Math.round(side * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, side, side);
    const [ct, st, ci, si] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
    const dots = [];
    for (const cloud of map.clouds) {
      if (!shown.has(cloud.model)) continue;
      for (let i = 0; i < cloud.points.length; i += 3) {
        const x = cloud.points[i] / map.grid, y = cloud.points[i + 1] / map.grid, z = cloud.points[i + 2] / map.grid;
        const right = x * ct + z * st, away = z * ct - x * st;
        dots.push([right, y * ci - away * si, away * ci + y * si, cloud]);
      }
    }
    dots.sort((a, b) => b[2] - a[2]);                   // the farthest first
    for (const [right, up, depth, cloud] of dots) {
      const near = 1 / (1 + 0.25 * depth), half = 0.47 * side;
      const [x, y, r] = [side / 2 + half * right * near, side / 2 - half * up * near, 2.6 * near];
      pen.beginPath();
      if (cloud.model === "") {
        pen.globalAlpha = 0.3 + 0.25 * (1 - depth) / 2;
        pen.fillStyle = cloud.colour;
        pen.arc(x, y, r, 0, 7);
        pen.fill();
      } else {
        pen.globalAlpha = 0.55 + 0.45 * (1 - depth) / 2;
        pen.strokeStyle = cloud.colour;
        pen.lineWidth = 1.4;
        pen.moveTo(x - r, y - r); pen.lineTo(x + r, y + r);
        pen.moveTo(x - r, y + r); pen.lineTo(x + r, y - r);
        pen.stroke();
      }
    }
  }

  function frame(now) {
    waiting = false;
    if (moving) turn += Math.min(now - last, 100) * 0.0003;
    last = now;
    draw();
    if (moving) ask();
  }

  function ask() {
    if (waiting || !visible) return;
    waiting = true;
    requestAnimationFrame(frame);
  }

  function stop(now) {
    moving = !now;
    button.textContent = moving ? "Hold still" : "Turn";
    ask();
  }

  const tools = document.createElement("p");
  tools.className = "tools";
  const button = document.createElement("button");
  button.type = "button";
  button.addEventListener("click", () => stop(moving));
  tools.append(button);
  for (const model of models) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = shown.has(model);
    box.addEventListener("change", () => { shown[box.checked ? "add" : "delete"](model); ask(); });
    label.append(box, model || "real images");
    tools.append(label);
  }
  canvas.after(tools);

  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    stop(true);
    turn += event.movementX * 0.01;
    tilt = Math.max(-1.5, Math.min(1.5, tilt + event.movementY * 0.01));
  });
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (!step) return;
    event.preventDefault();
    turn += step[0];
    tilt = Math.max(-1.5, Math.min(1.5, tilt + step[1]));
    stop(true);
  });
  new IntersectionObserver(([entry]) => { visible = entry.isIntersecting; ask(); }).observe(canvas);
  new ResizeObserver(ask).observe(canvas);
  addEventListener("beforeprint", draw);
  stop(!moving);
}
