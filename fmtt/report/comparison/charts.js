// The two charts, each with a legend of buttons: it wraps on a phone, and a keyboard reaches it.

const COLORS = ["#2563eb", "#b45309", "#0f766e", "#7c3aed", "#be123c", "#475569", "#0369a1", "#4d7c0f"];
const SYMBOLS = [["circle", "●"], ["square", "■"], ["diamond", "◆"], ["triangle-up", "▲"], ["cross", "✚"],
                 ["star", "★"], ["hexagon", "⬢"], ["triangle-down", "▼"]];
const DASHES = ["solid", "8px,4px", "2px,3px", "10px,3px,2px,3px", "16px,4px", "2px,2px,8px,2px"];
const CURVES = 24; // more lines than that cannot be told apart
const hidden = {compare: new Set(), curves: new Set()}; // what was switched off in the legends
const literal = text => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;"); // Plotly reads tags in its texts
const menuText = id => byId(id).selectedOptions[0]?.text ?? "";

// The colour of k of many lines, and a symbol that makes 64 of them differ.
const colorOf = k => COLORS[k % COLORS.length];
const symbolOf = k => SYMBOLS[(k + Math.floor(k / COLORS.length)) % SYMBOLS.length];

// Groups that differ in one setting only are points of one line. While there are colours enough, a line keeps its own
// whatever is filtered; else those that are shown share them out, so that as many as possible differ.
function lines(runs) {
  const settings = groupedBy(), joined = NAMES.indexOf(byId("join").value);
  const naming = settings.filter(setting => setting !== joined);
  const every = grouped(DONE, naming), shown = grouped(runs, naming);
  const places = (every.length > COLORS.length ? shown : every).map(line => line.key);
  const value = group => group.runs[0].settings[joined] ?? "";
  return shown.map(line => ({
    ...line,
    place: places.indexOf(line.key),
    alone: every.length === 1,
    groups: grouped(line.runs, settings).sort((a, b) => byValue(value(a), value(b)))
      .map((group, position) => ({...group, position})),
  }));
}

function legend(chart, items) {
  byId(`${chart}-legend`).replaceChildren(...items.map(item => {
    const shown = !hidden[chart].has(item.label);
    const button = element("button", {type: "button", "aria-pressed": shown}, item.mark, ` ${item.label}`);
    button.addEventListener("click", () => {
      hidden[chart][shown ? "add" : "delete"](item.label);
      update();
      const made = [...byId(`${chart}-legend`).querySelectorAll("button")];
      made.find(other => other.textContent === button.textContent)?.focus(); // it was made anew
    });
    return element("li", {}, button);
  }));
}

function mark(color, text) {
  const made = element("span", {"aria-hidden": "true"}, text);
  made.style.color = color;
  return made;
}

function stroke(color, dash) {
  const made = element("span", {"aria-hidden": "true", class: "stroke"});
  const gaps = dash === "solid" ? "" : ` stroke-dasharray="${dash.replaceAll("px", "")}"`;
  made.innerHTML = `<svg width="30" height="8"><path d="M0 4H30" stroke="${color}" stroke-width="3"${gaps}/></svg>`;
  return made;
}

function drawCompare(runs, all) {
  const x = byId("cost").value, y = byId("quality").value;
  const bars = pairs => ({type: "data", array: pairs.map(pair => pair[1]), thickness: 1.5, width: 4});
  const found = all.map(line => ({...line, groups: line.groups.filter(group =>
    estimate(group, x)[0] !== null && estimate(group, y)[0] !== null)})).filter(line => line.groups.length);
  const traces = found.filter(line => !hidden.compare.has(line.label)).map(line => {
    const xs = line.groups.map(group => estimate(group, x)), ys = line.groups.map(group => estimate(group, y));
    return {name: literal(line.label), mode: "lines+markers", x: xs.map(pair => pair[0]), y: ys.map(pair => pair[0]),
            error_y: bars(ys), line: {width: 1.5, color: colorOf(line.place)},
            marker: {size: 10, symbol: symbolOf(line.place)[0]}, customdata: line.groups.map(group => group.key),
            text: line.groups.map(group => literal(group.label)),
            hovertemplate: "%{text}<br>%{y:.4g} at %{x:.5g}<extra></extra>"};
  });
  legend("compare", found.map(line => ({label: line.label, mark: mark(colorOf(line.place), symbolOf(line.place)[1])})));
  const base = baseOf(runs), flat = y.startsWith("reward/") && base !== null && traces.length;
  const shapes = flat ? [{type: "line", xref: "paper", x0: 0, x1: 1, y0: base, y1: base,
                          line: {color: "#64748b", dash: "dash", width: 2}}] : [];
  const annotations = flat ? [{xref: "paper", x: 1, y: base, yanchor: "bottom", xanchor: "right", showarrow: false,
                               text: "base model, mean", font: {color: "#475569"}}] : [];
  const log = byId("log").checked ? {type: "log", dtick: "D2"} : {rangemode: "tozero"};
  return plot("compare", traces, {...LAYOUT, shapes, annotations, hovermode: "closest",
    xaxis: {...AXIS, tickformat: "~s", title: {text: menuText("cost")}, ...log},
    yaxis: {...AXIS, title: {text: menuText("quality")}}});
}

// The mean reward of the base model; null where the runs that are shown do not have one reward and one model.
function baseOf(runs) {
  const one = NAMES.every((name, setting) => !/^(reward|model)\b/.test(name)
    || new Set(runs.map(run => run.settings[setting])).size < 2);
  return one ? estimate({runs}, "reward/base_mean")[0] : null;
}

function drawCurves(all) {
  if (!byId("curves")) return Promise.resolve();
  const quantity = byId("quantity").value;
  const found = all.flatMap(line => line.groups.map(group => {
    const place = line.alone ? group.position : line.place;
    const dash = DASHES[(line.alone ? Math.floor(place / COLORS.length) : group.position) % DASHES.length];
    return {...group, color: colorOf(place), dash};
  })).filter(group => group.runs.some(run => run.curves[QUANTITIES.indexOf(quantity)]));
  const drawn = found.slice(0, CURVES);
  const traces = drawn.filter(group => !hidden.curves.has(group.label)).flatMap(group => {
    const curve = curveOf(group, quantity);
    const known = curve.flatMap(([mean, error], k) => error === null ? [] : [[GRID[k], mean, error]]);
    const points = curve.filter(pair => pair[0] !== null).length;
    const band = {mode: "lines", fill: "toself", fillcolor: `${group.color}2e`, line: {width: 0}, hoverinfo: "skip",
                  x: [...known, ...[...known].reverse()].map(part => part[0]), meta: "band",
                  y: [...known.map(part => part[1] + part[2]), ...[...known].reverse().map(part => part[1] - part[2])]};
    const line = {name: literal(group.label), mode: points > 1 ? "lines" : "markers",
                  x: GRID, y: curve.map(pair => pair[0]), line: {color: group.color, dash: group.dash, width: 2}, customdata: GRID.map(() => group.key),
                  hovertemplate: "%{y:.4g} at t = %{x:.3g}"};
    return known.length > 1 ? [band, line] : [line];
  });
  byId("curves-note").textContent = [
    found.length > CURVES ? `The first ${CURVES} of ${found.length} groups are drawn: filter, or group by fewer settings.` : "",
    chosenPrompts() === null ? "" : "Curves are means over all prompts.",
  ].join(" ").trim();
  legend("curves", drawn.map(group => ({label: group.label, mark: stroke(group.color, group.dash)})));
  return plot("curves", traces, {...LAYOUT, hovermode: "closest",
    xaxis: {...AXIS, title: {text: "sampling time t (0 noise, 1 data)"}, range: [-0.01, 1.01]},
    yaxis: {...AXIS, title: {text: menuText("quantity")}, tickformat: quantity.startsWith("nfe/") ? "~s" : ""}});
}
