// What is drawn over the slide: regions, the chosen nucleus, and, in a saved picture, scale bar and legend.

const REGION = "#ffffff";
const DARK = "#00000090";
const STEPS = [1, 2, 5];

export function format(value, digits = 4) {
  const rounded = Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(digits));
  return rounded.toLocaleString("en", { maximumFractionDigits: 6 });
}

// The longest round length that is at most `most` pixels of the screen; `zoom` is pixels of the screen per slide pixel.
export function scaleBar(mpp, zoom, most = 130) {
  const perPixel = (mpp ?? 1) / zoom;
  const power = 10 ** Math.floor(Math.log10(most * perPixel));
  const length = STEPS.map((step) => step * power).filter((one) => one <= most * perPixel).pop();
  const label = !mpp ? `${format(length)} px` : length >= 1000 ? `${format(length / 1000)} mm` : `${format(length)} µm`;
  return { width: length / perPixel, label };
}

function trace(context, rings, place) {
  context.beginPath();
  for (const ring of rings) {
    ring.forEach(([x, y], index) => {
      const point = place(x, y);
      if (index) context.lineTo(point.x, point.y);
      else context.moveTo(point.x, point.y);
    });
    context.closePath();
  }
}

function stroke(context, colour, width, dash = []) {
  context.lineJoin = "round";
  context.lineWidth = width + 2;
  context.strokeStyle = DARK;
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

export function paintMarks(context, { regions, chosen, place }) {
  context.font = "600 13px system-ui, sans-serif";
  for (const region of regions) {
    trace(context, region.rings, place);
    stroke(context, REGION, 1.6, [7, 4]);
    const top = region.rings[0].reduce((one, other) => (other[1] < one[1] ? other : one));
    const at = place(top[0], top[1]);
    context.lineWidth = 3;
    context.strokeStyle = DARK;
    context.strokeText(region.name, at.x + 4, at.y - 6);
    context.fillStyle = REGION;
    context.fillText(region.name, at.x + 4, at.y - 6);
  }
  if (chosen) {
    trace(context, chosen.rings, place);
    stroke(context, "#ffffff", 2.4);
    const at = place(chosen.col, chosen.row);
    const far = chosen.rings.flat().map(([x, y]) => place(x, y)).map(({ x, y }) => Math.hypot(x - at.x, y - at.y));
    context.beginPath();
    context.arc(at.x, at.y, Math.max(...far, 8) + 8, 0, 2 * Math.PI);
    stroke(context, "#ffffff", 1.2);
  }
}

function plate(context, x, y, width, height) {
  context.fillStyle = "#16181ae0";
  context.beginPath();
  context.roundRect(x, y, width, height, 6);
  context.fill();
  context.fillStyle = "#eceef0";
}

export function paintScale(context, bar, height) {
  plate(context, 14, height - 54, bar.width + 20, 40);
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText(bar.label, 24 + bar.width / 2, height - 36);
  context.textAlign = "start";
  context.lineWidth = 2;
  context.strokeStyle = "#eceef0";
  context.beginPath();
  context.moveTo(24, height - 29);
  context.lineTo(24, height - 23);
  context.lineTo(24 + bar.width, height - 23);
  context.lineTo(24 + bar.width, height - 29);
  context.stroke();
}

export function paintLegend(context, legend, width, height) {
  context.font = "13px system-ui, sans-serif";
  const lines = legend.classes ?? [];
  const wide = Math.max(200, ...[legend.title, ...lines.map((one) => `     ${one.name}`)].map((text) => context.measureText(text).width)) + 24;
  const tall = legend.limits ? 66 : 32 + 20 * lines.length;
  const x = width - wide - 14;
  const y = height - tall - 14;
  plate(context, x, y, wide, tall);
  context.fillText(legend.title, x + 12, y + 20);
  if (legend.limits) {
    const gradient = context.createLinearGradient(x + 12, 0, x + wide - 12, 0);
    legend.ramp.forEach((colour, index) => gradient.addColorStop(index / (legend.ramp.length - 1), colour));
    context.fillStyle = gradient;
    context.fillRect(x + 12, y + 28, wide - 24, 12);
    context.fillStyle = "#eceef0";
    context.fillText(legend.limits[0], x + 12, y + 56);
    context.textAlign = "end";
    context.fillText(legend.limits[1], x + wide - 12, y + 56);
    context.textAlign = "start";
  }
  lines.forEach((one, index) => {
    context.fillStyle = one.colour;
    context.fillRect(x + 12, y + 30 + 20 * index, 12, 12);
    context.fillStyle = "#eceef0";
    context.fillText(one.name, x + 32, y + 41 + 20 * index);
  });
}
