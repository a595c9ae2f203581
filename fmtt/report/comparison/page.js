// The tables, and what happens when a control changes: everything that is shown is made again from the controls.

function head(key, text, kind) {
  return element("th", {scope: "col", class: kind, "data-key": key}, element("button", {type: "button"}, text));
}

function cell(value, content, kind = "") {
  return element("td", {class: kind, "data-value": value ?? ""}, ...[content].flat());
}

// The pages of a group's runs as numbers.
function pages(group) {
  return group.runs.filter(run => run.link).flatMap((run, k) =>
    [element("a", {href: run.link, "aria-label": run.name, title: run.name}, String(k + 1)), " "]);
}

function fillGroups(groups, settings) {
  const table = byId("groups"), known = COLUMNS.filter(metric => DONE.some(run => run.estimates[METRICS.indexOf(metric)]));
  const linked = RUNS.some(run => run.link);
  const heads = [...settings.map(setting => head(NAMES[setting], NAMES[setting], "")), head("runs", "runs", "number"),
                 ...known.map(metric => head(metric, TITLES[metric], "number"))];
  if (linked) heads.push(element("th", {scope: "col"}, "pages"));
  const rows = groups.map(group => {
    const told = settings.map(setting => group.runs[0].settings[setting]);
    const cells = [...told.map(value => cell(value, value || "not there")), cell(group.runs.length, String(group.runs.length), "number")];
    for (const metric of known) {
      const pair = estimate(group, metric);
      cells.push(cell(pair[0], textOf(pair), "number"));
    }
    if (linked) cells.push(cell("", pages(group), "text"));
    return element("tr", {}, ...cells);
  });
  table.replaceChildren(element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
  if (table.dataset.sorted) sort(table, table.dataset.sorted, table.dataset.up === "true");
}

// What is not known comes last in both directions.
function sort(table, key, up) {
  const heads = [...table.tHead.rows[0].cells], column = heads.findIndex(one => one.dataset.key === key);
  if (column < 0) return; // the setting is no longer grouped by
  for (const one of heads) one.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
  Object.assign(table.dataset, {sorted: key, up});
  const value = row => row.cells[column].dataset.value;
  const order = (a, b) => (up || a === "" || b === "" ? 1 : -1) * byValue(a, b);
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => order(value(a), value(b))));
}

document.addEventListener("click", event => {
  const heading = event.target.closest("th button")?.closest("th");
  if (!heading) return;
  sort(heading.closest("table"), heading.dataset.key, heading.getAttribute("aria-sort") !== "ascending");
  if (heading.closest("table") === byId("runs")) showRows(RUNS.map(filter()));
});

// The list of runs shows a part of those that pass, in its present order, until more are asked for.
const ROWS = 200;
let rowsShown = ROWS;

function showRows(passes) {
  let left = rowsShown, more = 0;
  for (const row of byId("runs").tBodies[0].rows) {
    if (!passes[row.dataset.run]) continue;
    row.hidden = left <= 0;
    left -= 1;
    more += row.hidden ? 1 : 0;
  }
  byId("more-runs").hidden = more === 0;
  byId("more-runs").textContent = `${Math.min(ROWS, more)} more of ${more} runs`;
}

// A point of one run opens its page; of several, their pages are named below the chart.
function openRuns(group) {
  const linked = group.runs.filter(run => run.link);
  const picked = byId("picked");
  picked.replaceChildren();
  if (group.runs.length === 1 && linked.length) window.open(linked[0].link, "_blank");
  else if (linked.length) picked.append(`Runs of ${group.label}: `, ...linked.flatMap(run =>
    [element("a", {href: run.link}, run.name), " "]));
  else picked.append(`${group.label}: no run of it has a page.`);
}

function update() {
  const passes = RUNS.map(filter()), shown = RUNS.filter((_, k) => passes[k]);
  byId("count").textContent = `${shown.length} of ${RUNS.length} runs shown`;
  for (const part of document.querySelectorAll("[data-run]")) part.hidden = !passes[part.dataset.run];
  showRows(passes);
  if (!DONE.length) return Promise.resolve();
  const done = shown.filter(run => run.done), all = lines(done), settings = groupedBy();
  const groups = grouped(done, settings);
  fillGroups(groups, settings);
  fillPrompts(groups);
  return Promise.all([drawCompare(done, all), drawCurves(all)]);
}

function start() {
  if (matchMedia("(max-width: 40rem)").matches) byId("facets").open = false; // the charts would be far below
  const controls = byId("filters");
  controls.addEventListener("input", update);
  controls.addEventListener("submit", event => event.preventDefault());
  controls.addEventListener("reset", () => {
    for (const names of Object.values(hidden)) names.clear();
    setTimeout(update); // the browser resets the controls after this event
  });
  byId("more-runs").addEventListener("click", () => { rowsShown += ROWS; showRows(RUNS.map(filter())); });
  for (const id of ["cost", "quality", "join", "log", "quantity"]) byId(id)?.addEventListener("change", update);
  update();
  for (const chart of ["compare", "curves"]) byId(chart)?.on("plotly_click", event => {
    const settings = groupedBy(), key = event.points[0].customdata;
    openRuns(grouped(DONE.filter(filter()), settings).find(group => group.key === key));
  });
}
start();
