(() => {
  "use strict";
  const INK = "#000000"; // stands for the colour of the text
  const PRINTED_PX = 700;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const drawn = new Map(); // the element of a figure -> its figure, as it is shown
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const inked = (value, ink) => (value === INK ? ink : value);

  const themedLayout = (layout, wide) => {
    const ink = colour("--ink"), grid = colour("--plot-grid"), line = colour("--line");
    const own = {
      ...layout, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: ink },
      hoverlabel: { bgcolor: colour("--card"), bordercolor: line, font: { color: ink } },
      dragmode: coarse.matches ? false : layout.dragmode,
    };
    if (wide) own.width = wide;
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) own[key] = { ...layout[key], gridcolor: grid, zerolinecolor: grid, linecolor: line };
    }
    own.shapes = (layout.shapes || []).map((one) => ({ ...one, line: { ...one.line, color: inked(one.line.color, ink) } }));
    return own;
  };

  const themedData = (data) => {
    const ink = colour("--ink");
    return data.map((one) => ({
      ...one, line: { ...one.line, color: inked(one.line.color, ink) },
      marker: { ...one.marker, color: inked(one.marker.color, ink), line: { ...one.marker.line, color: inked(one.marker.color, ink) } },
      ...(one.error_x && { error_x: { ...one.error_x, color: inked(one.error_x.color, ink) } }),
    }));
  };

  const redraw = (element, wide) => {
    if (!drawn.has(element)) return; // a sketch yet, whose legend is there already
    const figure = drawn.get(element);
    return Plotly.react(element.querySelector(".plot"), themedData(figure.data), themedLayout(figure.layout, wide), config);
  };

  // -- the legend: buttons, so that a keyboard and a screen reader reach them --

  const DASHES = { solid: "", dash: "6 4", dot: "2 3", dashdot: "6 3 2 3", longdash: "10 4", longdashdot: "10 3 2 3" };
  const SHAPES = {
    circle: "M14 2a4 4 0 1 0 .01 0z", square: "M10 2h8v8h-8z", diamond: "M14 1l5 5-5 5-5-5z",
    "triangle-up": "M14 1l5 9h-10z", "triangle-down": "M14 11l5-9h-10z", cross: "M12.5 1h3v3.500h3.500v3h-3.500v3.500h-3v-3.500h-3.500v-3h3.500z",
    x: "M10 2l2-1 2 3 2-3 2 1-2 4 2 4-2 1-2-3-2 3-2-1 2-4z", star: "M14 0l1.500 4h4l-3 2.500 1.200 4.500-3.700-2.500-3.700 2.500 1.200-4.500-3-2.500h4z",
  };

  const swatch = (one) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("width", "28"); svg.setAttribute("height", "12"); svg.setAttribute("aria-hidden", "true");
    const add = (name, attributes) => {
      const part = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
      svg.append(part);
    };
    const stroke = inked(one.line.color, "currentColor");
    if (one.mode.includes("lines")) {
      add("line", { x1: 0, x2: 28, y1: 6, y2: 6, stroke, "stroke-width": 2.500, "stroke-dasharray": DASHES[one.line.dash] });
    }
    if (one.mode.includes("markers")) {
      const symbols = [one.marker.symbol].flat(); // one for each point where they differ
      const open = symbols.every((each) => each.endsWith("-open"));
      add("path", { d: SHAPES[symbols[0].replace("-open", "")], fill: open ? "none" : stroke, stroke });
    }
    return svg;
  };

  const legend = (element, figure) => {
    const place = element.querySelector(".legend");
    place.replaceChildren();
    const rows = new Map();
    const buttons = [];
    const show = (button, one, visible) => {
      one.visible = visible;
      button.setAttribute("aria-pressed", String(visible));
    };
    for (const one of figure.data) {
      const panel = one.meta.panel;
      if (!rows.has(panel)) {
        const row = document.createElement("div");
        row.className = "panel";
        if (panel) row.append(Object.assign(document.createElement("span"), { textContent: panel }));
        rows.set(panel, row);
        place.append(row);
      }
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.append(swatch(one), document.createTextNode(one.meta.name));
      show(button, one, one.visible !== false);
      button.addEventListener("click", () => { show(button, one, !one.visible); redraw(element); });
      buttons.push([button, one]);
      rows.get(panel).append(button);
    }
    if (rows.size === 1 && buttons.length > 4) {
      const all = Object.assign(document.createElement("button"), { type: "button", textContent: "All or none" });
      all.addEventListener("click", () => {
        const visible = !buttons.some(([, one]) => one.visible);
        for (const [button, one] of buttons) show(button, one, visible);
        redraw(element);
      });
      rows.values().next().value.append(all);
    }
  };

  // -- which figure an element shows --

  const chosen = (element, name) => element.querySelector(`[data-choose="${name}"]`);

  const figureOf = (element) => {
    const name = element.dataset.figure;
    if (["bars", "load", "swept"].includes(name)) return figures[name];
    if (name !== "curves") return figures.runs[Number(name)];
    const of = figures.curves[chosen(element, "family").value];
    const by = chosen(element, "by");
    by.disabled = !of.group;
    const figure = of[by.disabled ? "setup" : by.value];
    figure.layout.yaxis = { ...figure.layout.yaxis, type: chosen(element, "log").checked ? "log" : "linear" };
    if (figure.layout.yaxis.type === "linear") figure.layout.yaxis.rangemode = "tozero";
    return figure;
  };

  const draw = (element) => {
    const figure = figureOf(element);
    drawn.set(element, figure);
    element.querySelector(".sketch")?.remove();
    legend(element, figure);
    redraw(element);
  };

  const reset = (element) => {
    const plot = element.querySelector(".plot");
    const axes = Object.keys(plot.layout).filter((key) => /^[xy]axis\d*$/.test(key));
    Plotly.relayout(plot, Object.fromEntries(axes.map((key) => [`${key}.autorange`, plot.layout[key].autorange === "reversed" ? "reversed" : true])));
  };

  const elements = [...document.querySelectorAll("[data-figure]")];
  // A table that is wider than the screen says so, until its end is seen.
  const scrolls = [...document.querySelectorAll(".scroll")];
  const tell = (one) => one.toggleAttribute("data-more", one.scrollLeft + one.clientWidth < one.scrollWidth - 1);
  const widths = new ResizeObserver((entries) => entries.forEach(({ target }) => tell(target)));
  for (const one of scrolls) {
    one.addEventListener("scroll", () => tell(one), { passive: true });
    widths.observe(one);
  }

  const redrawAll = (wide) => { for (const element of drawn.keys()) redraw(element, wide); };
  let opened = [];
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.print = "";
    opened = [...document.querySelectorAll("details:not([open]):not(.text)")];
    for (const one of opened) one.open = true;
    if (window.Plotly) for (const element of elements) if (!drawn.has(element)) draw(element);
    redrawAll(PRINTED_PX);
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.print;
    for (const one of opened) one.open = false;
    redrawAll();
  });

  // -- when: the library takes most of the time, so the text and sketches of the first plots are painted first; plots come as they near the screen, and
  // the others while there is nothing to do, so that a picture of the whole page has them --

  // As html.py packs it: gzip, in base 85 with a dot for "<".
  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;.=>?@^_`{|}~";

  const load = async () => {
    const packed = document.getElementById("library");
    const text = packed.textContent, values = new Uint8Array(128);
    for (let at = 0; at < DIGITS.length; at++) values[DIGITS.charCodeAt(at)] = at;
    const words = new DataView(new ArrayBuffer(text.length / 5 * 4));
    for (let from = 0, to = 0; from < text.length; to += 4) {
      let word = 0;
      for (const end = from + 5; from < end; from++) word = word * 85 + values[text.charCodeAt(from)];
      words.setUint32(to, word);
    }
    const bytes = new Uint8Array(words.buffer, 0, Number(packed.dataset.bytes));
    const script = document.createElement("script");
    script.text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    packed.remove();
    document.body.append(script);
  };

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && !drawn.has(target)) draw(target);
    }
  }, { rootMargin: "300px" });

  const idle = (then) => (window.requestIdleCallback ? requestIdleCallback(then) : setTimeout(then, 200));
  const drawRest = () => {
    const next = elements.find((one) => !drawn.has(one) && !one.closest("details:not([open])"));
    if (next) {
      draw(next);
      idle(drawRest);
    }
  };

  const begin = async () => {
    for (const element of elements) if (element.querySelector(".sketch")) legend(element, figureOf(element));
    await load();
    dark.addEventListener("change", () => redrawAll());
    for (const element of elements) {
      near.observe(element);
      for (const choice of element.querySelectorAll("[data-choose]")) choice.addEventListener("change", () => draw(element));
      element.querySelector('[data-act="reset"]')?.addEventListener("click", () => reset(element));
    }
    idle(drawRest);
  };
  const fail = () => {
    for (const element of elements) { // a sketch stays, and its legend could do nothing
      const place = element.querySelector(element.querySelector(".sketch") ? ".legend" : ".plot");
      place.textContent = "This browser can't draw the plots; one of 2023 or later can.";
    }
  };
  requestAnimationFrame(() => setTimeout(() => begin().catch(fail)));
})();
