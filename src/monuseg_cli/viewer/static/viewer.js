// The viewer's page: deep zoom by OpenSeadragon, tiles of nuclei over it, and the panel beside it.

import { paintLegend, paintMarks, paintScale, scaleBar, format } from "./drawing.js";
import { get, legendOf, showLegend, showNucleus, showRegions, showSummary } from "./panel.js";

const { OpenSeadragon } = window;
const ASK_EVERY_MS = 400;
const SHORT_MS = 2500;
const UM_AT_1X = 10; // of a pixel on the screen; 0.25 µm are called 40x
const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;

const asked = new URLSearchParams(window.location.hash.slice(1)); // the place at which the page was opened
const view = {
  style: "outlines", colour: 0, limits: {}, nuclei: null, slide: null, chosen: null, overlays: [], region: -1,
};
let viewer = null;

const image = () => viewer.world.getItemAt(0);
const zoom = () => image().viewportToImageZoom(viewer.viewport.getZoom(true));
const ready = () => view.nuclei?.state === "ready";
const choice = () => view.nuclei.colours.find(({ number }) => number === view.colour) ?? view.nuclei.colours[0];
const chosenLimits = () => view.limits[view.colour]; // of the colours, instead of percentiles
const legend = (heat) => legendOf(choice(), heat, view.nuclei, chosenLimits());
const place = (x, y) => image().imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));

function say(text) {
  get("message").textContent = text;
  get("message").hidden = false;
  window.setTimeout(() => { get("message").hidden = true; }, SHORT_MS);
}

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// Pixels of the slide per pixel of the tiles that are shown at this zoom, as OpenSeadragon chooses them.
function shownStep() {
  const needed = 2 ** Math.ceil(Math.log2(0.5 / (zoom() * window.devicePixelRatio)));
  return Math.min(Math.max(needed, 2 ** -view.slide.finer), 2 ** (view.slide.full - view.slide.first));
}

const isHeat = () => shownStep() > view.nuclei.coarsest;

function imageSource({ width, height, tile, first, full }) {
  return {
    width, height, tileSize: tile, minLevel: first, maxLevel: full,
    getTileUrl: (level, col, row) => `image/${level}/${row}/${col}`,
  };
}

function overlaySource({ width, height, tile, first, full, finer }) {
  const { colour } = view;
  const filled = Number(view.style === "filled");
  const query = chosenLimits() ? `?limits=${chosenLimits().join(",")}` : "";
  return {
    width: width * 2 ** finer, height: height * 2 ** finer, tileSize: tile, minLevel: first, maxLevel: full + finer,
    hasTransparency: () => true, // else coarser tiles show through
    getTileUrl: (level, col, row) => `overlay/${colour}/${filled}/${level}/${row}/${col}${query}`,
  };
}

const nucleiOpacity = () => (view.style === "hidden" ? 0 : get("nuclei-opacity").valueAsNumber / 100);

function keepNewest() {
  const newest = view.overlays.at(-1);
  for (const old of view.overlays.slice(0, -1)) viewer.world.removeItem(old);
  view.overlays = [newest];
}

// Load the nuclei in the chosen style and colours; what was shown before stays until they are there.
function showOverlay() {
  if (!ready()) return;
  viewer.addTiledImage({
    tileSource: overlaySource(view.slide),
    width: 1,
    opacity: nucleiOpacity(),
    success: ({ item }) => {
      view.overlays.push(item);
      item.addHandler("fully-loaded-change", ({ fullyLoaded }) => {
        if (fullyLoaded && item === view.overlays.at(-1)) keepNewest();
        settle();
      });
    },
  });
}

function settle() {
  const items = [...Array(viewer.world.getItemCount()).keys()].map((index) => viewer.world.getItemAt(index));
  const settled = items.length > 0 && items.every((item) => item.getOpacity() === 0 || item.getFullyLoaded());
  get("stage").dataset.settled = String(settled && view.overlays.length <= 1);
}

function showScale() {
  const bar = scaleBar(view.slide.mpp, zoom());
  get("scale-label").textContent = bar.label;
  get("scale-bar").style.width = `${bar.width}px`;
  const { mpp } = view.slide;
  const perPixel = mpp && mpp / zoom();
  get("zoom").textContent = perPixel
    ? `${format(UM_AT_1X / perPixel, 2)}×, ${format(perPixel, 2)} µm/px`
    : `${format(100 * zoom(), 3)} %`;
}

function paint() {
  const canvas = get("marks");
  const ratio = window.devicePixelRatio;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  if (!image()) return;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  paintMarks(context, { regions: view.nuclei?.regions ?? [], chosen: view.chosen, place });
  showScale();
}

function markOfChosen() {
  const { name } = choice();
  const limits = choice().limits && (chosenLimits() ?? choice().limits);
  const value = view.chosen?.values.find((one) => one.name === name)?.value;
  return limits && value !== undefined ? (value - limits[0]) / (limits[1] - limits[0]) : null;
}

function updateLegend() {
  if (!ready()) return;
  const heat = isHeat();
  get("stage").dataset.shows = view.style === "hidden" ? "nothing" : heat ? "density" : view.style;
  showLegend(legend(heat), heat ? null : markOfChosen());
}

function setStyle(style) {
  const redraw = style !== "hidden" && style !== view.drawn;
  view.style = style;
  for (const name of ["outlines", "filled", "hidden"]) get(name).setAttribute("aria-pressed", String(name === style));
  if (redraw) {
    view.drawn = style;
    showOverlay();
  }
  setOpacity();
  updateLegend();
}

function setOpacity() {
  image()?.setOpacity(get("slide-opacity").valueAsNumber / 100);
  for (const item of view.overlays) item.setOpacity(nucleiOpacity());
}

function setColour(number) {
  view.colour = number;
  get("colour").value = String(number);
  showOverlay();
  updateLegend();
  keepInAddress();
}

// Colour the chosen measurement within these limits, or, without any, by percentiles.
function setLimits(limits) {
  if (limits) view.limits[view.colour] = limits;
  else delete view.limits[view.colour];
  showOverlay();
  updateLegend();
  keepInAddress();
}

function changeLimits() {
  const limits = ["lowest", "highest"].map((id) => get(id).valueAsNumber);
  if (limits.some(Number.isNaN)) setLimits(null);
  else if (limits[0] < limits[1]) setLimits(limits);
  else say("The lowest value must be below the highest.");
}

function nextColour() {
  const numbers = view.nuclei.colours.map(({ number }) => number);
  setColour(numbers[(numbers.indexOf(view.colour) + 1) % numbers.length]);
}

function choose(nucleus, missed = false) {
  view.chosen = nucleus;
  showNucleus(nucleus, missed);
  updateLegend();
  paint();
}

async function clicked({ quick, position }) {
  if (!quick || !ready()) return;
  const { x, y } = image().viewerElementToImageCoordinates(position);
  const inside = x >= 0 && y >= 0 && x < view.slide.width && y < view.slide.height;
  const nucleus = inside ? await ask(`nucleus/${y.toFixed(2)}/${x.toFixed(2)}`) : null;
  choose(nucleus, !nucleus);
}

function goToRegion(index) {
  const points = view.nuclei.regions[index].rings.flat();
  const [left, top] = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis])));
  const [right, bottom] = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
  const box = image().imageToViewportRectangle(left, top, right - left, bottom - top);
  const margin = 0.06 * Math.max(box.width, box.height);
  view.region = index;
  viewer.viewport.fitBounds(
    new OpenSeadragon.Rect(box.x - margin, box.y - margin, box.width + 2 * margin, box.height + 2 * margin),
  );
}

function save() {
  const drawn = viewer.drawer.canvas;
  const ratio = window.devicePixelRatio;
  const [width, height] = [get("slide").clientWidth, get("slide").clientHeight];
  const picture = document.createElement("canvas");
  picture.width = width * ratio;
  picture.height = height * ratio;
  const context = picture.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, picture.width, picture.height);
  context.drawImage(drawn, 0, 0, picture.width, picture.height);
  context.scale(ratio, ratio);
  paintMarks(context, { regions: view.nuclei?.regions ?? [], chosen: view.chosen, place });
  paintScale(context, scaleBar(view.slide.mpp, zoom()), height);
  if (ready() && view.style !== "hidden") paintLegend(context, legend(isHeat()), width, height);
  picture.toBlob((blob) => {
    const link = document.createElement("a");
    const { x, y } = image().viewportToImageCoordinates(viewer.viewport.getCenter(true));
    link.download = `${view.slide.name.replace(/\.[^.]+$/, "")}-x${Math.round(x)}-y${Math.round(y)}.png`;
    link.href = URL.createObjectURL(blob);
    link.click();
    URL.revokeObjectURL(link.href);
    say(`Saved ${link.download}`);
  }, "image/png");
}

function togglePanel() {
  const narrow = document.body.classList.toggle("narrow");
  get("toggle-panel").setAttribute("aria-expanded", String(!narrow));
}

function zoomBy(factor) {
  viewer.viewport.zoomBy(factor).applyConstraints();
}

function pan(x, y) {
  const bounds = viewer.viewport.getBounds();
  viewer.viewport.panBy(new OpenSeadragon.Point(x * bounds.width, y * bounds.height)).applyConstraints();
}

function fade(step) {
  get("nuclei-opacity").valueAsNumber += step;
  setOpacity();
}

const KEYS = {
  "+": () => zoomBy(1.5),
  "=": () => zoomBy(1.5),
  "-": () => zoomBy(1 / 1.5),
  0: () => viewer.viewport.goHome(),
  ArrowLeft: () => pan(-0.15, 0),
  ArrowRight: () => pan(0.15, 0),
  ArrowUp: () => pan(0, -0.15),
  ArrowDown: () => pan(0, 0.15),
  n: () => ready() && setStyle(view.style === "hidden" ? view.drawn : "hidden"),
  f: () => ready() && setStyle(view.style === "filled" ? "outlines" : "filled"),
  "[": () => fade(-10),
  "]": () => fade(10),
  c: () => ready() && nextColour(),
  r: () => view.nuclei?.regions?.length && goToRegion((view.region + 1) % view.nuclei.regions.length),
  s: save,
  p: togglePanel,
  "?": () => get("keys").showModal(),
  Escape: () => choose(null),
};

function pressed(event) {
  const { target, key } = event;
  const writes = ["SELECT", "TEXTAREA"].includes(target.tagName) || target.type === "number" ||
    (target.type === "range" && key.startsWith("Arrow"));
  if (event.ctrlKey || event.metaKey || event.altKey || writes || get("keys").open || !KEYS[key]) return;
  event.preventDefault();
  KEYS[key]();
}

function keepInAddress() {
  const { x, y } = viewer.viewport.getCenter(true);
  const parts = { x: x.toFixed(5), y: y.toFixed(5), z: viewer.viewport.getZoom(true).toFixed(3), c: view.colour };
  if (chosenLimits()) parts.l = chosenLimits().join(",");
  history.replaceState(null, "", `#${new URLSearchParams(parts)}`);
}

function goToAddress() {
  const [x, y, z] = ["x", "y", "z"].map((name) => Number(asked.get(name)));
  if (asked.has("z") && [x, y, z].every(Number.isFinite)) {
    viewer.viewport.panTo(new OpenSeadragon.Point(x, y), true).zoomTo(z, null, true);
  }
}

async function showNuclei(again = false) {
  const state = await ask(again ? "state?again" : "state");
  [view.slide, view.nuclei] = [state.slide, state.nuclei];
  showSummary(view.nuclei);
  if (view.nuclei.state === "reading") {
    window.setTimeout(showNuclei, ASK_EVERY_MS);
  } else if (ready()) {
    const options = view.nuclei.colours.map(({ number, name, unit }) => new Option(unit ? `${name} (${unit})` : name, number));
    get("colour").replaceChildren(...options);
    const colour = Number(asked.get("c"));
    view.colour = view.nuclei.colours.some(({ number }) => number === colour) ? colour : 0;
    get("colour").value = String(view.colour);
    const limits = (asked.get("l") ?? "").split(",").map(Number);
    if (limits.length === 2 && limits[0] < limits[1]) view.limits[view.colour] = limits;
    view.drawn = view.style;
    showRegions(view.nuclei, goToRegion);
    showNucleus(null);
    showOverlay();
    updateLegend();
    paint();
  } else if (again && view.nuclei.state === "none") {
    say("No prediction on this slide was found.");
  }
  get("stage").dataset.nuclei = view.nuclei.state;
}

function connect() {
  const clicks = {
    "zoom-in": () => zoomBy(1.5), "zoom-out": () => zoomBy(1 / 1.5), fit: KEYS[0], save, help: KEYS["?"],
    "toggle-panel": togglePanel, outlines: () => setStyle("outlines"), filled: () => setStyle("filled"),
    hidden: () => setStyle("hidden"), again: () => showNuclei(true),
    copy: () => navigator.clipboard.writeText(get("command").textContent).then(() => say("Copied")),
  };
  for (const [id, action] of Object.entries(clicks)) get(id).addEventListener("click", action);
  get("nuclei-opacity").addEventListener("input", setOpacity);
  get("slide-opacity").addEventListener("input", setOpacity);
  for (const id of ["lowest", "highest"]) get(id).addEventListener("change", changeLimits);
  get("reset").addEventListener("click", () => setLimits(null));
  get("colour").addEventListener("change", (event) => setColour(Number(event.target.value)));
  document.addEventListener("keydown", pressed);
}

async function start() {
  const state = await ask("state");
  view.slide = state.slide;
  document.title = `${view.slide.name} - monuseg`;
  get("slide-name").textContent = view.slide.name;
  viewer = OpenSeadragon({
    element: get("slide"),
    tileSources: imageSource(view.slide),
    drawer: "canvas",
    showNavigationControl: false,
    showNavigator: view.slide.full > view.slide.first,
    navigatorPosition: "BOTTOM_RIGHT",
    navigatorSizeRatio: 0.16,
    keyboardNavEnabled: false,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    animationTime: calm ? 0 : 0.5,
    blendTime: 0,
    subPixelRoundingForTransparency: OpenSeadragon.SUBPIXEL_ROUNDING_OCCURRENCES.ALWAYS,
    navigatorAutoFade: false,
    maxZoomPixelRatio: 2 ** (view.slide.finer + 1),
    minZoomImageRatio: 0.7,
    visibilityRatio: 0.3,
    zoomPerScroll: 1.3,
    timeout: 600_000,
  });
  viewer.addHandler("open", () => {
    image().addHandler("fully-loaded-change", settle);
    goToAddress();
    connect();
    showNuclei();
  });
  viewer.addHandler("update-viewport", () => { paint(); settle(); });
  viewer.addHandler("animation", updateLegend);
  viewer.addHandler("animation-finish", () => { updateLegend(); keepInAddress(); });
  viewer.addHandler("canvas-click", clicked);
  viewer.addHandler("tile-load-failed", async ({ tile }) => say(await (await fetch(tile.getUrl())).text()));
}

start().catch((error) => say(error.message));
