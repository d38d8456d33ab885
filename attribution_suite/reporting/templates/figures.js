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
