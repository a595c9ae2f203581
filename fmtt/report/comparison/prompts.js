// Results of some prompts only, and the pictures that were returned for them.

const SHOWN = 6; // prompts with pictures side by side

// The numbers of the prompts that are chosen; null for all of them.
function chosenPrompts() {
  const [kind, ...rest] = (byId("prompts")?.value ?? "").split(" "), name = rest.join(" ");
  if (kind === "prompt") return [Number(name)];
  if (kind === "category") return PROMPTS.flatMap(([, category], k) => category === name ? [k] : []);
  return null;
}

// [value, standard error] of a run: its own, or those of the prompts that are chosen. Costs are those of the whole run.
function estimateOf(run, metric) {
  const chosen = chosenPrompts();
  if (chosen === null || COSTS.includes(metric)) return run.estimates[METRICS.indexOf(metric)] ?? [null, null];
  const place = BY_PROMPT.indexOf(metric);
  const known = chosen.map(prompt => run.prompts[prompt]?.[place]).filter(pair => pair);
  if (place < 0 || !known.length) return [null, null];
  const sum = known.reduce((total, pair) => total + pair[0], 0);
  const squares = known.reduce((total, pair) => pair[1] === null ? NaN : total + pair[1] ** 2, 0);
  return [sum / known.length, Number.isNaN(squares) ? null : Math.sqrt(squares) / known.length];
}

// What is said of a picture: right \u2713, broken \u2717, or a number.
function verdictText(values) {
  const mark = value => value === 1 ? "\u2713" : value === 0 ? "\u2717" : String(value);
  return VERDICTS.flatMap((name, k) => values[k] === null || values[k] === undefined ? [] : [`${name} ${mark(values[k])}`]).join("\n");
}

// Of a group of runs the first one that knows the prompt.
function picturesOf(group, prompt) {
  const run = group.runs.find(one => one.pictures && one.returned[prompt]);
  return (run?.returned[prompt] ?? []).map(([number, ...verdicts]) => element("figure", {},
    element("img", {src: `${run.pictures}/${number}.png`, alt: PROMPTS[prompt][0], loading: "lazy"}),
    element("figcaption", {}, verdictText(verdicts))));
}

// A row for each group of runs, a column for each prompt that is chosen.
function fillPrompts(groups) {
  const table = byId("told");
  if (!table) return;
  const chosen = chosenPrompts(), shown = (chosen ?? []).slice(0, SHOWN);
  byId("told-note").textContent = chosen === null
    ? "Choose a category or a prompt under “Results of” to see its pictures."
    : `The first run of each group.${chosen.length > SHOWN ? ` The first ${SHOWN} of ${chosen.length} prompts.` : ""}`;
  const heads = ["", ...shown.map(prompt => PROMPTS[prompt][0])].map(text => element("td", {}, text));
  const rows = groups.map(group => element("tr", {}, element("td", {}, group.label),
    ...shown.map(prompt => element("td", {}, element("div", {class: "few"}, ...picturesOf(group, prompt))))));
  table.replaceChildren(element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...(shown.length ? rows : [])));
}
