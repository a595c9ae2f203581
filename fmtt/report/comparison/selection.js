// Which runs are shown, how they are grouped, and their averages. The constants in capitals come from page_data.py.

const byId = id => document.getElementById(id);
const ticked = selector => [...document.querySelectorAll(`${selector}:checked`)];
const DONE = RUNS.filter(run => run.done);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A test of a run: in every setting with a ticked box, one of the ticked values; and all of the words.
function filter() {
  const wanted = new Map();
  for (const box of ticked("#filters [data-setting]")) {
    const setting = Number(box.dataset.setting);
    wanted.set(setting, (wanted.get(setting) ?? new Set()).add(box.value));
  }
  const words = byId("words").value.toLowerCase().split(/\s+/).filter(word => word);
  return run => [...wanted].every(([setting, values]) => values.has(run.settings[setting]))
    && words.every(word => run.text.includes(word));
}

const groupedBy = () => ticked("#filters [data-group]").map(box => Number(box.dataset.group));
const keyOf = (run, settings) => JSON.stringify(settings.map(setting => run.settings[setting]));
const labelOf = (run, settings) => settings.filter(setting => run.settings[setting] !== "")
  .map(setting => `${NAMES[setting]}=${run.settings[setting]}`).join(", ");

// Numbers by size, words by letters, and what is not there last.
function byValue(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  return isNaN(a) || isNaN(b) ? a.localeCompare(b, undefined, {numeric: true}) : a - b;
}

// Runs that agree in the settings, ordered by the first of these, then by the second, ...
function grouped(runs, settings) {
  const found = new Map();
  for (const run of runs) {
    const key = keyOf(run, settings);
    if (!found.has(key)) found.set(key, {key, label: labelOf(run, settings) || "all runs", runs: []});
    found.get(key).runs.push(run);
  }
  const values = group => settings.map(setting => group.runs[0].settings[setting]);
  const order = (a, b) => a.map((value, k) => byValue(value, b[k])).find(sign => sign) ?? 0;
  return [...found.values()].sort((a, b) => order(values(a), values(b)));
}

// [mean, standard error] of the numbers that are known; null where there is none.
function meanAndError(values) {
  const known = values.filter(value => value !== null && value !== undefined);
  if (!known.length) return [null, null];
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return [mean, known.length > 1 ? Math.sqrt(squares / (known.length - 1) / known.length) : null];
}

// Over the runs of a group; of a single run its own error, over its groups of particles.
function estimate(group, metric) {
  const all = group.runs.map(run => estimateOf(run, metric));
  return all.length === 1 ? all[0] : meanAndError(all.map(pair => pair[0]));
}

// Mean and standard error at each time, of one quantity of the histories.
function curveOf(group, quantity) {
  const lines = group.runs.map(run => run.curves[QUANTITIES.indexOf(quantity)]).filter(line => line);
  return GRID.map((_, k) => meanAndError(lines.map(line => line[k])));
}

// As the pages of the runs write it: the digits of the value that its error leaves a meaning.
function textOf([value, error]) {
  if (value === null) return "n/a";
  let text = Number.isInteger(value) ? value.toLocaleString("en-US") : String(Number(value.toPrecision(4)));
  if (error > Math.abs(value) * 1e-12) { // what rounding leaves of equal numbers is no error
    const decimals = Math.min(20, Math.max(0, 1 - Math.floor(Math.log10(error))));
    text = `${value.toFixed(decimals)} ± ${error.toFixed(decimals)}`;
  }
  return text.replaceAll("-", "\u2212");
}
