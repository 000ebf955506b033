// The panel beside the slide: counts, legend, the chosen nucleus, regions.

import { format } from "./drawing.js";

export const get = (id) => document.getElementById(id);

function make(name, className, text) {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

const withUnit = (text, unit) => (unit ? `${text} ${unit}` : text);

export function showSummary(nuclei) {
  const { state } = nuclei;
  get("share").hidden = state !== "reading";
  get("offer").hidden = state !== "none";
  get("appearance").hidden = get("nucleus").hidden = state !== "ready";
  get("region-list").hidden = state !== "ready" || !nuclei.regions.length;
  get("warnings").replaceChildren();
  get("density").textContent = "";
  if (state === "none") {
    get("count").textContent = "No nuclei yet";
    get("command").textContent = nuclei.command;
  } else if (state === "failed") {
    get("count").textContent = "Nuclei cannot be read";
    get("warnings").append(make("li", "", nuclei.message));
  } else if (state === "reading") {
    get("count").textContent = "Reading nuclei";
    get("density").textContent = nuclei.file;
    get("share").value = nuclei.share;
  } else {
    const { whole } = nuclei;
    get("count").textContent = `${format(whole.nuclei)} ${whole.nuclei === 1 ? "nucleus" : "nuclei"}`;
    get("density").textContent = !whole.area ? "in the regions below" :
      `${format(whole.density)} ${nuclei.densityUnit}; ${whole.name.toLowerCase()}: ${format(whole.area, 3)} ${nuclei.areaUnit}`;
    get("about").textContent = [nuclei.file, nuclei.about].filter(Boolean).join(" by ");
    const notes = [...nuclei.warnings, ...(nuclei.leftOut ? [`Not shown: ${nuclei.leftOut}`] : [])];
    get("warnings").append(...notes.map((note) => make("li", "", note)));
  }
}

export function showRegions(nuclei, onChoose) {
  get("regions").replaceChildren(
    ...nuclei.regions.map((region, index) => {
      const button = make("button", "", "");
      button.type = "button";
      button.append(
        make("span", "name", region.name),
        make("span", "number", format(region.nuclei)),
        make("span", "detail", `${format(region.density)} ${nuclei.densityUnit}, ${format(region.area, 3)} ${nuclei.areaUnit}`),
      );
      button.addEventListener("click", () => onChoose(index));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

// What the legend says of a choice of colours, where a heat map or where outlines are shown; `chosen` are the limits
// that the user set.
export function legendOf(choice, isHeat, nuclei, chosen) {
  const range = chosen ?? (isHeat ? choice.heat : choice.limits);
  if (isHeat) {
    const limits = range.map((value) => withUnit(format(value, 3), choice.heatUnit));
    return { title: choice.heatName, limits, range, ramp: nuclei.ramp, note: "Zoom in to see the outlines." };
  }
  if (choice.classes) return { title: "Class", classes: choice.classes, note: "" };
  if (!choice.limits) return { title: "", classes: [{ name: "Nucleus", colour: nuclei.plain }], note: "" };
  const [low, high] = range.map((value) => format(value, 3));
  const limits = [`≤ ${low}`, withUnit(`≥ ${high}`, choice.unit)];
  const note = chosen ? "" : "2nd to 98th percentile of all nuclei";
  return { title: withUnit(choice.name, choice.unit && `(${choice.unit})`), limits, range, ramp: nuclei.ramp, note };
}

export function showLegend(legend, mark) {
  get("legend-title").textContent = legend.title;
  get("legend-note").textContent = legend.note;
  get("ramp").hidden = get("limits").hidden = get("range").hidden = !legend.limits;
  get("classes").replaceChildren(
    ...(legend.classes ?? []).map(({ name, colour }) => {
      const item = document.createElement("li");
      const patch = document.createElement("canvas");
      patch.width = patch.height = 1;
      const context = patch.getContext("2d");
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      item.append(patch, name);
      return item;
    }),
  );
  get("mark").hidden = mark === null || !legend.limits;
  if (!legend.limits) return;
  [get("low").textContent, get("high").textContent] = legend.limits;
  ["lowest", "highest"].forEach((id, index) => {
    if (document.activeElement !== get(id)) get(id).value = Number(legend.range[index].toPrecision(4));
  });
  const colours = get("ramp-colours");
  const context = colours.getContext("2d");
  const gradient = context.createLinearGradient(0, 0, colours.width, 0);
  legend.ramp.forEach((colour, index) => gradient.addColorStop(index / (legend.ramp.length - 1), colour));
  context.fillStyle = gradient;
  context.fillRect(0, 0, colours.width, 1);
  if (mark !== null) get("mark").style.left = `${100 * Math.min(Math.max(mark, 0), 1)}%`;
}

export function showNucleus(nucleus, missed) {
  get("nucleus-name").textContent = nucleus ? `Nucleus ${nucleus.name}` : "Nucleus";
  get("nucleus-hint").textContent = missed ? "No nucleus here." : "Click a nucleus to see its measurements.";
  get("nucleus-hint").hidden = Boolean(nucleus);
  const rows = [];
  if (nucleus) {
    if (nucleus.className) rows.push(["Class", nucleus.className]);
    for (const { name, unit, value } of nucleus.values) rows.push([name, withUnit(format(value), unit)]);
    rows.push(["Column, row", `${format(nucleus.col)}, ${format(nucleus.row)} px`]);
  }
  get("values").replaceChildren(...rows.flatMap(([name, text]) => [make("dt", "", name), make("dd", "", text)]));
}
