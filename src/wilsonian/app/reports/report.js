// Adds to figures that are complete without it: values under the pointer, and a choice of axes.
"use strict";
(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  const reach = 30; // in units of a figure, about a finger's width

  function nearest(points, x, y) {
    let best = null;
    let least = reach * reach;
    for (const point of points) {
      const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
      if (distance < least) {
        least = distance;
        best = point;
      }
    }
    return best;
  }

  function place(event) {
    const edge = 8;
    const right = document.documentElement.clientWidth - tip.offsetWidth - edge;
    const above = event.clientY - tip.offsetHeight - 14;
    tip.style.left = Math.max(edge, Math.min(event.clientX + 14, right)) + "px";
    tip.style.top = (above < edge ? event.clientY + 18 : above) + "px";
  }

  for (const panel of document.querySelectorAll(".panel")) {
    const data = panel.querySelector("script");
    if (!data) continue;
    const points = JSON.parse(data.textContent);
    const svg = panel.querySelector("svg");
    const ring = document.createElementNS(svg.namespaceURI, "circle");
    ring.setAttribute("class", "ring");
    ring.setAttribute("r", "5");
    ring.setAttribute("visibility", "hidden");
    svg.append(ring);

    const hide = () => {
      tip.hidden = true;
      ring.setAttribute("visibility", "hidden");
    };
    const show = (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(
        svg.getScreenCTM().inverse(),
      );
      const point = nearest(points, at.x, at.y);
      if (!point) return hide();
      ring.setAttribute("cx", point[0]);
      ring.setAttribute("cy", point[1]);
      ring.setAttribute("visibility", "visible");
      tip.textContent = point[2];
      tip.hidden = false;
      place(event);
    };
    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerdown", show);
    svg.addEventListener("pointerleave", hide);
    window.addEventListener("scroll", hide, { passive: true });
  }

  for (const group of document.querySelectorAll(".scales")) {
    group.hidden = false;
    group.addEventListener("click", (event) => {
      const scale = event.target.dataset.scale;
      if (!scale) return;
      for (const button of group.children) {
        button.setAttribute("aria-pressed", String(button.dataset.scale === scale));
      }
      for (const panel of group.closest("figure").querySelectorAll(".panel")) {
        panel.hidden = panel.dataset.scale !== scale;
      }
    });
  }
})();
