// Figures: pointing, tapping and the arrow keys tell every mark's value. Without this script its <title> does.
(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let at = null;
  const marks = svg => [...svg.querySelectorAll("[data-told], :has(> title)")];
  const hide = () => { at?.classList.remove("at"); at = null; tip.textContent = ""; };
  const show = mark => {
    hide();
    at = mark;
    const title = mark.querySelector(":scope > title");  // moved, or the browser would show it as well
    if (title) { mark.dataset.told = title.textContent; title.remove(); }
    tip.textContent = mark.dataset.told;
    mark.classList.add("at");
    const box = mark.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.max(4, Math.min(box.left + box.width / 2 - own.width / 2, innerWidth - own.width - 4));
    const top = box.top > own.height + 8 ? box.top - own.height - 6 : box.bottom + 6;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${top + scrollY}px`;
  };
  document.addEventListener("pointerover", event => {
    const mark = event.target.closest?.(".drawing svg [data-told], .drawing svg :has(> title)");
    if (mark) show(mark); else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", event => {
    const svg = event.target.closest?.(".drawing svg");
    if (!svg) return;
    const all = marks(svg), place = all.indexOf(at);
    const next = {ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place < 0 ? all.length - 1 : place - 1,
                  ArrowUp: place < 0 ? all.length - 1 : place - 1, Home: 0, End: all.length - 1}[event.key];
    if (event.key === "Escape") hide();
    if (next === undefined || !all.length) return;
    event.preventDefault();
    const mark = all[(next + all.length) % all.length];
    mark.scrollIntoView({block: "nearest", inline: "nearest"});
    show(mark);
  });
})();
// Points in space: any three components, turned by dragging or by two sliders. Without this script the first view stays.
document.querySelectorAll(".drawing[data-turn]").forEach((drawing, number) => {
  const {names, points, fine, reach, middle, unit, turn, triples} = JSON.parse(drawing.dataset.turn);
  const svg = drawing.querySelector("svg");
  const all = kind => [...svg.querySelectorAll(`${kind}:has(> title)`)];
  const dots = all("circle"), lines = all("path"), labels = all("text");
  labels.forEach(label => label.removeAttribute("textLength"));
  const label = (text, control) => { const made = document.createElement("label"); made.append(`${text} `, control); return made; };
  const slider = (least, most, value) => Object.assign(document.createElement("input"), {type: "range", min: least, max: most, value});
  const choice = document.createElement("select"), yaw = slider(-180, 180, turn[0]), pitch = slider(-90, 90, turn[1]);
  triples.forEach((triple, place) => choice.append(new Option(triple.map(k => names[k]).join(", "), place)));
  const form = document.createElement("form");
  form.className = "chooser";
  form.setAttribute("aria-label", `Turn the components ${number + 1}`);
  form.append(label("Components", choice), label("Turn", yaw), label("Tilt", pitch));
  form.addEventListener("submit", event => event.preventDefault());
  const draw = () => {
    const triple = triples[choice.value], [a, b] = [yaw, pitch].map(angle => angle.value * Math.PI / 180);
    const seen = ([x, y, z]) => [middle[0] + unit * (x * Math.cos(a) - y * Math.sin(a)),
      middle[1] - unit * (z * Math.cos(b) - (x * Math.sin(a) + y * Math.cos(a)) * Math.sin(b))].map(Math.round);
    dots.forEach((dot, place) => {
      const [x, y] = seen(triple.map(k => points[place][k] / fine));
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
    });
    triple.forEach((component, axis) => {
      const end = [0, 1, 2].map(other => other === axis ? reach : 0), far = end.map(part => 1.09 * part);
      lines[axis].setAttribute("d", `M${middle}L${seen(end)}`);
      const [x, y] = seen(far);
      for (const [name, value] of [["x", x], ["y", y], ["text-anchor", "middle"]]) labels[axis].setAttribute(name, value);
      labels[axis].firstChild.data = names[component];
    });
  };
  let from = null;
  svg.addEventListener("pointerdown", event => { from = [event.clientX, event.clientY, +yaw.value, +pitch.value]; svg.setPointerCapture(event.pointerId); });
  svg.addEventListener("pointermove", event => {
    if (!from) return;
    yaw.value = (from[2] - (event.clientX - from[0]) / 2 + 540) % 360 - 180;
    pitch.value = from[3] + (event.clientY - from[1]) / 2;
    draw();
  });
  for (const kind of ["pointerup", "pointercancel"]) svg.addEventListener(kind, () => { from = null; });
  form.addEventListener("input", draw);
  drawing.before(form);
});
